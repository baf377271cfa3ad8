import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import init from 'sql.js/dist/sql-wasm-browser.js';
import { type SqlJs, startSqlJs } from './sql-js.ts';

// The Workers' types know no way to compile one, as Workers may not.
const Module = WebAssembly.Module as unknown as new (bytes: Uint8Array) => WebAssembly.Module;

let started: Promise<SqlJs> | undefined;

/** The same build in Node, for tests and benchmarks: a Worker's bundle never reaches this file. */
export function loadSqlJs(): Promise<SqlJs> {
  const file = createRequire(import.meta.url).resolve('sql.js/dist/sql-wasm.wasm');
  return (started ??= startSqlJs(init, new Module(readFileSync(file))));
}
