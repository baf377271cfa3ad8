// What the bundler makes of a .wasm import, and the runtime that scripts/build-booster.ts generates.
declare module '*.wasm' {
  const module: WebAssembly.Module;
  export default module;
}
declare module '*/generated/tree-sitter.js' {
  /** `tablesOf` is asked for what the build took out of a grammar's module. */
  export const createTreeSitter: (
    tablesOf: (module: WebAssembly.Module) => Uint8Array,
  ) => import('./booster/tree-sitter.ts').TreeSitter;
}

/** Bytes, as a Worker's bundler gives them. */
declare module '*.bin' {
  const bytes: ArrayBuffer;
  export default bytes;
}
