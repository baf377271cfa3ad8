import { beforeAll, describe, expect, it } from 'vitest';

import type { Engine } from '../../../../wasm/booster/engine.ts';
import { runOperation } from '../../../../wasm/booster/operations/run.ts';
import { type BoosterResult, SCAFFOLD_KINDS, type ScaffoldTemplate } from '../../../../wasm/booster/operations/task.ts';
import { newEngine } from '../../../lib/booster.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await newEngine();
});

const LANGUAGES = ['javascript', 'typescript', 'tsx', 'python', 'go', 'rust', 'java'] as const;
const TYPES = {
  javascript: 'string',
  typescript: 'Map<string, number[]>',
  tsx: 'string',
  python: 'dict[str, int]',
  go: 'map[string]int',
  rust: '&str',
  java: 'List<String>',
};

const run = (language: string, template: ScaffoldTemplate): BoosterResult =>
  runOperation(engine, { operation: 'scaffold', language, template });
const output = (result: BoosterResult): unknown => (result.ok ? result.output : `${result.reason}: ${result.detail}`);

describe('scaffold', () => {
  it.each(LANGUAGES)('B160: every kind of template for %s parses, with and without its parts', (language) => {
    for (const kind of SCAFFOLD_KINDS) {
      for (const parameters of [[], [{ name: 'first value', type: TYPES[language] }, { name: 'second' }]]) {
        for (const description of [undefined, 'One line.', 'Two lines,\nthe second é😀.']) {
          const result = run(language, { kind, name: 'load user config', parameters, description, returns: TYPES[language] });
          if (language === 'javascript' && kind === 'interface')
            expect(result).toMatchObject({ ok: false, reason: 'unsupported' });
          else expect([kind, output(result)]).toEqual([kind, expect.stringMatching(/load.?user.?config|main/i)]);
        }
      }
    }
  });

  it('B161: names are written as the language writes them', () => {
    const template = { kind: 'function', name: 'HTTPServer-start_now', parameters: [{ name: 'maxCount', type: 'int' }] };
    expect(output(run('python', template))).toBe(
      'def http_server_start_now(max_count: int):\n    raise NotImplementedError("http_server_start_now")\n',
    );
    expect(output(run('go', { ...template, description: 'starts.', returns: 'error' }))).toBe(
      'package main\n\n// HttpServerStartNow: starts.\nfunc HttpServerStartNow(maxCount int) error {\n\tpanic("not implemented: HttpServerStartNow")\n}\n',
    );
    expect(output(run('typescript', { kind: 'class', name: 'user', parameters: [{ name: 'id', type: 'string' }] }))).toBe(
      'export class User {\n  readonly id: string;\n\n  constructor(id: string) {\n    this.id = id;\n  }\n}\n',
    );
  });

  it('B162: nothing comes in with a name, type or description', () => {
    const kind = 'function';
    for (const name of ['a; evil()', 'a() {}', 'a\nb', '1a', 'class', 'é', '../x', "a'", 'x'.repeat(65), '--']) {
      expect([name, run('javascript', { kind, name })]).toEqual([
        name,
        expect.objectContaining({ ok: false, reason: 'not_code' }),
      ]);
    }
    for (const type of [
      'string) { evil() } function b(',
      'string, b: number',
      'a; b',
      'a = 1',
      '`x`',
      "'x'",
      'a\n',
      'Map<string',
      'a /* */',
      'x,',
    ]) {
      for (const language of LANGUAGES) {
        const result = run(language, { kind, name: 'f', parameters: [{ name: 'a', type }] });
        expect([type, language, result.ok]).toEqual([
          type,
          language,
          language === 'javascript' && type === 'string, b: number' ? result.ok : type === 'a\n',
        ]);
      }
    }
    for (const description of ['x */ evil() /*', '""" evil', 'ends with "', '\\u002a/', 'a\u2028b', 'a\0']) {
      for (const language of LANGUAGES)
        expect(run(language, { kind, name: 'f', description })).toMatchObject({ reason: 'not_code' });
    }
    expect(run('go', { kind: 'page', name: 'f' })).toMatchObject({ reason: 'unsupported' });
    expect(run('css', { kind, name: 'f' })).toMatchObject({ reason: 'unsupported' });
    expect(run('go', { kind, name: ' ' })).toMatchObject({ reason: 'empty' });
    expect(run('go', { kind, name: 'f', parameters: [{ name: 'a' }, { name: 'A' }] })).toMatchObject({ reason: 'ambiguous' });
  });
});
