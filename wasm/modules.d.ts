// What the bundler makes of a .wasm import, and the runtime that scripts/build-booster.ts generates.
declare module '*.wasm' {
  const module: WebAssembly.Module;
  export default module;
}
declare module '*/generated/tree-sitter.js' {
  export const createTreeSitter: () => import('./booster/tree-sitter.ts').TreeSitter;
}
