import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkLayers, importsOf, violationsOf } from '../../../scripts/check-layers.ts';

describe('finding imports', () => {
  it('sees every way to import', () => {
    const source = `
      import a from './a.ts';
      import type { B } from "./b.ts";
      import {
        c,
      } from './c.ts';
      import './d.ts';
      export * from './e.ts';
      export { f } from './f.ts';
      const g = await import('./g.ts');
      type H = import('./h.ts').H;
    `;
    expect(importsOf(source)).toEqual(['./a.ts', './b.ts', './c.ts', './d.ts', './e.ts', './f.ts', './g.ts', './h.ts']);
  });

  it('sees no import in a comment, and is not fooled by a web address', () => {
    const source = `
      // import a from './a.ts';
      /* import b from './b.ts'; */
      const url = 'https://example.com'; import c from './c.ts';
    `;
    expect(importsOf(`${source}\n import d from './d.ts';`)).toContain('./d.ts');
    expect(importsOf(source)).not.toContain('./a.ts');
    expect(importsOf(source)).not.toContain('./b.ts');
  });
});

describe('layers', () => {
  it.each([
    ['shared/ids.ts', "import { REGIONS } from '../regions/table.ts';"],
    ['shared/ids.ts', "import { Hono } from 'hono';"],
    ['shared/ids.ts', "import { readFileSync } from 'node:fs';"],
    ['regions/rank.ts', "import { stub } from '../durable-objects/stubs.ts';"],
    ['wasm/sqlite/load.ts', "import type { Result } from '../../shared/result.ts';"],
    ['durable-objects/pool/shell.ts', "import type { Env } from '../../workers/region/env.ts';"],
    ['client/src/http.ts', "export * from '../../regions/table.ts';"],
    ['dashboard/page.ts', "const x = await import('../workers/router/index.ts');"],
    ['workers/router/app.ts', "import { FleetManager } from '../../client/src/index.ts';"],
    ['workers/router/app.ts', "import { helper } from '../../test/lib/helper.ts';"],
    ['durable-objects/pool/core/state.ts', "import { migrate } from '../../lib/migrate.ts';"],
    ['durable-objects/pool/core/state.ts', "import { row } from '../storage.ts';"],
    ['durable-objects/pool/core/state.ts', "import { DurableObject } from 'cloudflare:workers';"],
    ['workers/booster/core/state.ts', "import { log } from '../../lib/log.ts';"],
    ['scripts/deploy.ts', "import { x } from './other';"],
    ['scripts/deploy.ts', "import { x } from './other.js';"],
  ])('%s may not contain %s', (file, source) => {
    expect(violationsOf(file, source)).toHaveLength(1);
  });

  it.each([
    ['shared/schemas/tasks.ts', "import * as z from 'zod'; import { LIMITS } from '../limits.ts';"],
    ['regions/table.ts', "import type { Result } from '../shared/result.ts';"],
    [
      'durable-objects/pool/core/state.ts',
      "import { evolve } from './evolve.ts'; import { ok } from '../../../shared/result.ts';",
    ],
    [
      'durable-objects/pool/pool-object.ts',
      "import { DurableObject } from 'cloudflare:workers'; import { x } from '../lib/migrate.ts';",
    ],
    ['workers/region/index.ts', "export { PoolObject } from '../../durable-objects/pool/pool-object.ts';"],
    ['client/src/index.ts', "import type { Task } from '../../shared/schemas/tasks.ts';"],
    ['test/unit/x.test.ts', "import { x } from '../../workers/router/app.ts';"],
  ])('%s may contain %s', (file, source) => {
    expect(violationsOf(file, source)).toEqual([]);
  });

  it('hold in this repository', () => {
    expect(checkLayers(path.resolve(import.meta.dirname, '../../..'))).toEqual([]);
  });
});
