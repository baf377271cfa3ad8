import path from 'node:path';
import type { Plugin } from 'esbuild';

const HERE = import.meta.dirname;

/** Puts the failing engine in the booster Workers of a local fleet. */
export const faultyBooster: Plugin = {
  name: 'faulty-booster',
  setup(build) {
    build.onResolve({ filter: /^\.\/engine\.ts$/ }, ({ importer }) =>
      importer.endsWith(path.join('workers', 'booster', 'booster-entry.ts'))
        ? { path: path.join(HERE, 'faulty-engine.ts') }
        : null,
    );
    build.onResolve({ filter: /^web-tree-sitter$/ }, ({ importer }) =>
      importer.includes('@ast-grep') ? { path: path.join(HERE, 'web-tree-sitter-shim.ts') } : null,
    );
  },
};
