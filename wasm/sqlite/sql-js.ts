/** What we use of sql.js 1.16.0. Its numbers are doubles, its blobs copies, its errors plain `Error`s with SQLite's text. */
export interface SqlJs {
  readonly Database: new (data?: FileImage | Uint8Array) => SqlJsDatabase;
}

export interface SqlJsDatabase {
  run(sql: string): unknown;
  exec(sql: string): readonly { readonly columns: readonly string[]; readonly values: readonly (readonly SqlJsValue[])[] }[];
  /** Prepares the first statement of the text and ignores the rest. */
  prepare(sql: string): SqlJsStatement;
  iterateStatements(sql: string): SqlJsStatements;
  export(): Uint8Array<ArrayBuffer>;
  close(): void;
  getRowsModified(): number;
}

export type SqlJsValue = string | number | Uint8Array<ArrayBuffer> | null;

export interface SqlJsStatement {
  bind(values: readonly (string | number | bigint | Uint8Array | null)[]): boolean;
  step(): boolean;
  get(): SqlJsValue[];
  get(parameters: null, settings: { readonly useBigInt: true }): (SqlJsValue | bigint)[];
  getColumnNames(): string[];
  reset(): void;
  free(): void;
}

export interface SqlJsStatements {
  next(): { readonly done: true } | { readonly done?: false; readonly value: SqlJsStatement };
  getRemainingSQL(): string;
}

/**
 * What sql.js takes for the bytes of a file. Its file system keeps the answer of `slice` as the file's contents and from then
 * on calls `subarray` for each read and `set` for each write. These are names of JavaScript's own methods, so minification
 * does not touch them; the released build offers no other way in.
 */
export interface FileImage {
  readonly length: number;
  readonly buffer: undefined;
  subarray(from: number, to: number): Uint8Array;
  slice(from: number, to: number): FileContents;
}

export interface FileContents {
  readonly length: number;
  readonly buffer: undefined;
  subarray(from: number, to: number): Uint8Array;
  set(bytes: Uint8Array | Int8Array, position: number): void;
}

interface SqlJsSettings {
  readonly useOldExtensionFunctions: boolean;
  instantiateWasm(
    imports: WebAssembly.Imports,
    done: (instance: WebAssembly.Instance, module: WebAssembly.Module) => void,
  ): WebAssembly.Exports;
}

/** The default export of `sql.js/dist/sql-wasm-browser.js`. */
export type InitSqlJs = (settings: SqlJsSettings) => Promise<SqlJs>;

/**
 * Starts the released browser build with a module that is compiled already, which is the only form Workers allow. The glue
 * reads `self.location.href` where it finds `WorkerGlobalScope` (workerd defines it, without a location); the read is
 * synchronous, so a location is lent for the call.
 */
export function startSqlJs(init: InitSqlJs, module: WebAssembly.Module): Promise<SqlJs> {
  const scope = globalThis as { location?: unknown };
  const lent = scope.location === undefined;
  if (lent) scope.location = { href: '' };
  try {
    return init({
      useOldExtensionFunctions: false,
      instantiateWasm(imports, done) {
        const instance = new WebAssembly.Instance(module, imports);
        done(instance, module);
        return instance.exports;
      },
    });
  } finally {
    if (lent) delete scope.location;
  }
}
