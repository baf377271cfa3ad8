import { readFileSync } from 'node:fs';
import type { Plugin } from 'esbuild';

/**
 * Lets npm's agent-booster 0.2.2 run in a Worker: its glue reads and compiles its own .wasm file, which a Worker may not.
 * Its code becomes a function of the module that the bundler imports; nothing else of it is changed.
 */
export const agentBoosterInWorker: Plugin = {
  name: 'agent-booster-in-worker',
  setup(build) {
    build.onLoad({ filter: /agent_booster_wasm\.js$/ }, ({ path }) => {
      const source = readFileSync(path, 'utf8');
      const body = source.replace(/const wasmPath = [\s\S]*?const wasmModule = [^\n]*\n/, '');
      if (body === source) throw new Error('agent-booster: the glue reads otherwise than it did');
      return {
        contents: `export function instantiate(wasmModule) {\nconst exports = {};\nconst module = { exports };\n${body}\nreturn exports;\n}\n`,
        loader: 'js',
      };
    });
  },
};
