declare module 'sql.js/dist/sql-wasm-browser.js' {
  const init: import('./sql-js.ts').InitSqlJs;
  export default init;
}

declare module 'sql.js/dist/sql-wasm.wasm' {
  const module: WebAssembly.Module;
  export default module;
}
