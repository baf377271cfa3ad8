declare module '@ast-grep/wasm/wasm_bg.js';
