import type { LanguageId } from './languages.ts';

/**
 * The tables of the grammars, which the build takes out of their modules: a runtime compiles and keeps every module of a
 * Worker when it starts, and these are nine tenths of them.
 */
export class Tables {
  readonly #read: (language: LanguageId) => Promise<Uint8Array>;
  readonly #modules: Readonly<Record<LanguageId, WebAssembly.Module>>;
  readonly #loaded = new Map<WebAssembly.Module, Uint8Array>();

  constructor(read: (language: LanguageId) => Promise<Uint8Array>, modules: Readonly<Record<LanguageId, WebAssembly.Module>>) {
    this.#read = read;
    this.#modules = modules;
  }

  /** Those of a module. Throws if its language was not loaded. */
  of(module: WebAssembly.Module): Uint8Array {
    const tables = this.#loaded.get(module);
    if (tables === undefined) throw new Error('the tables of the grammar are not loaded');
    return tables;
  }

  /** Null if all are there. Two callers at once may both read: a promise may not be shared by two requests of an isolate. */
  load(languages: readonly LanguageId[]): Promise<unknown> | null {
    const missing = languages.filter((language) => !this.#loaded.has(this.#modules[language]));
    if (missing.length === 0) return null;
    return Promise.all(
      missing.map(async (language) => {
        const tables = await this.#read(language);
        this.#loaded.set(this.#modules[language], tables);
      }),
    );
  }
}

/** The content of a gzip file. */
export async function inflate(file: ArrayBuffer): Promise<Uint8Array> {
  const stream = new Blob([file]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
