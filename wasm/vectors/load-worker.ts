import module from './dot.wasm';

/** The kernel in a Worker. Each index has an instance, and so a memory, of its own. */
export const loadDot = (): WebAssembly.Module => module;
