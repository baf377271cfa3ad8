import astGrepModule from '@ast-grep/wasm/wasm_bg.wasm';
import * as astGrep from '@ast-grep/wasm/wasm_bg.js';

/** The part of the package that is used; its glue has no types of its own. */
interface Glue {
  __wbg_set_wasm(exports: WebAssembly.Exports): void;
  initializeTreeSitter(): Promise<void>;
  registerDynamicLanguage(languages: Readonly<Record<string, { libraryPath: string }>>): Promise<void>;
  parse(
    language: string,
    source: string,
  ): { root(): { find(pattern: string): { replace(text: string): unknown } | undefined; commitEdits(edits: unknown[]): string } };
}
const glue = astGrep as unknown as Glue;

let started: Promise<void> | null = null;

/** Once per isolate: the package's glue keeps views of its first instance's memory, so a second one would write into that. */
export const startAstGrep = (): Promise<void> => (started ??= start());

async function start(): Promise<void> {
  const instance = new WebAssembly.Instance(astGrepModule, { './wasm_bg.js': astGrep as unknown as WebAssembly.ModuleImports });
  glue.__wbg_set_wasm(instance.exports);
  (instance.exports['__wbindgen_start'] as () => void)();
  await glue.initializeTreeSitter();
  await glue.registerDynamicLanguage({ javascript: { libraryPath: 'javascript' } });
}

/**
 * A real panic of compiled Rust: @ast-grep/wasm 0.45.3 mistakes offsets when a character outside the basic plane stands
 * before the edit, slices out of bounds, and ends in `RuntimeError: unreachable`.
 */
export function panicInAstGrep(): void {
  const root = glue.parse('javascript', 'const a = "\u{1F600}\u{1F600}\u{1F600}"; let b = a;').root();
  const found = root.find('let b = a');
  root.commitEdits([found?.replace('let b = 2')]);
}
