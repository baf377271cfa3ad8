import { readFileSync } from 'node:fs';
import path from 'node:path';

// The Workers' types know no way to compile one, as Workers may not.
const Module = WebAssembly.Module as unknown as new (bytes: Uint8Array) => WebAssembly.Module;

/** The kernel in Node, for tests and benchmarks. */
export const loadDot = (): WebAssembly.Module => new Module(readFileSync(path.join(import.meta.dirname, 'dot.wasm')));
