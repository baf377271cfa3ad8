import init from 'sql.js/dist/sql-wasm-browser.js';
import module from 'sql.js/dist/sql-wasm.wasm';
import { type SqlJs, startSqlJs } from './sql-js.ts';

let started: Promise<SqlJs> | undefined;

/** sql.js in a Worker: one instance, one heap, for all objects of an isolate. It outlives an object that was put to sleep. */
export function loadSqlJs(): Promise<SqlJs> {
  return (started ??= startSqlJs(init, module));
}
