import type { Edit, Language, Parser, Query, Tree } from 'web-tree-sitter';
import type { LanguageId } from './languages.ts';
import { PARSE_BUDGET_CALLBACKS, PARSE_MEMORY_MAX_BYTES, SOURCE_MAX_LENGTH } from './limits.ts';
import { type Grammar, readGrammar, type Snapshot, SnapshotTooLarge, takeSnapshot } from './snapshot.ts';
import type { Binding, TreeSitter } from './tree-sitter.ts';

export interface EngineParts {
  /** `createTreeSitter` of the generated runtime; each call is an instance of its own. */
  readonly createTreeSitter: () => TreeSitter;
  readonly coreModule: WebAssembly.Module;
  /** The grammars this engine knows; one Module may serve any number of engines. */
  readonly grammarModules: Partial<Readonly<Record<LanguageId, WebAssembly.Module>>>;
}

/** Why a source was not parsed. A fault of the engine itself is no such answer: it throws `EngineFault`. */
export type ParseRefusal = 'too_large' | 'budget' | 'unsupported';

/** The instance trapped or ran out of stack: whatever it holds may be damaged, and it must be replaced. */
export class EngineFault extends Error {
  override readonly name = 'EngineFault';
}

/** A replaced stretch, in UTF-16 units of the text before it. Lists of them are sorted and do not overlap. */
export interface Splice {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** A parsed source. The tree belongs to the session and is deleted with it; the snapshot may be kept. */
export interface Parsed {
  readonly language: LanguageId;
  readonly source: string;
  readonly tree: Tree;
  readonly snapshot: Snapshot;
}

export interface Session {
  /** Parses from the start. */
  parse(language: LanguageId, source: string): Parsed | ParseRefusal;
  /** Parses the text that `splices` make of `before`, reusing what they leave alone. */
  reparse(before: Parsed, source: string, splices: readonly Splice[]): Parsed | ParseRefusal;
}

/**
 * A trap, an abort (emscripten throws that as a trap, too) or a stack that ran out. Told by its class, never by its message:
 * messages of refusals hold names from the caller's code, and `isUnreachable` is one.
 */
export const isFault = (error: unknown): boolean => error instanceof WebAssembly.RuntimeError || error instanceof RangeError;

/**
 * One isolated instance of the parser. Not for concurrent use, which cannot happen: everything is synchronous. After an
 * `EngineFault` it refuses all further work.
 */
export class Engine {
  readonly #treeSitter: TreeSitter;
  readonly #modules: EngineParts['grammarModules'];
  readonly #grammars = new Map<LanguageId, Grammar>();
  readonly #queries = new Map<string, Query>();
  readonly #parser: Parser;
  #operations = 0;
  #taint: string | null = null;

  private constructor(treeSitter: TreeSitter, modules: EngineParts['grammarModules']) {
    this.#treeSitter = treeSitter;
    this.#modules = modules;
    this.#parser = new treeSitter.Parser();
  }

  static async create({ createTreeSitter, coreModule, grammarModules }: EngineParts): Promise<Engine> {
    const treeSitter = createTreeSitter();
    await treeSitter.Parser.init({
      // Must not be below the minimum that the build patched into the core.
      INITIAL_MEMORY: 8 * 65_536,
      instantiateWasm(imports: WebAssembly.Imports, done: (instance: WebAssembly.Instance, module: WebAssembly.Module) => void) {
        const instance = new WebAssembly.Instance(coreModule, imports);
        // Without the module the loader does not find the core's dynamic-linking section.
        done(instance, coreModule);
        return instance.exports;
      },
    });
    return new Engine(treeSitter, grammarModules);
  }

  /** What the instance's memory has grown to; it never shrinks. */
  get memoryBytes(): number {
    return this.#treeSitter.binding().HEAPU8.buffer.byteLength;
  }

  /** Sessions so far. */
  get operations(): number {
    return this.#operations;
  }

  /** Why this engine must be replaced, or null. */
  get taint(): string | null {
    return this.#taint;
  }

  supports(language: LanguageId): boolean {
    return this.#modules[language] !== undefined;
  }

  /** The core's own functions and memory; tests of the recovery damage it here. */
  binding(): Binding {
    return this.#treeSitter.binding();
  }

  /**
   * Runs `work` with a parser whose trees are deleted afterwards, whatever happens. A trap becomes an `EngineFault` and
   * taints the engine; other errors of `work` pass through.
   */
  session<Result>(work: (session: Session) => Result): Result {
    if (this.#taint !== null) throw new EngineFault(this.#taint);
    this.#operations += 1;
    const trees: Tree[] = [];
    try {
      const result = work({
        parse: (language, source) => this.#parse(language, source, null, trees),
        reparse: (before, source, splices) => this.#reparse(before, source, splices, trees),
      });
      for (const tree of trees) tree.delete();
      return result;
    } catch (error) {
      if (!isFault(error)) {
        for (const tree of trees) tree.delete();
        throw error;
      }
      // Nothing is deleted: in a damaged memory that would be one more fault.
      this.#taint = error instanceof Error ? error.message : 'fault';
      throw new EngineFault(this.#taint, { cause: error });
    }
  }

  /** A compiled query, kept by its text. Throws tree-sitter's `QueryError` if it is not valid for the language. */
  query(language: LanguageId, source: string): Query {
    const key = `${language}\n${source}`;
    let query = this.#queries.get(key);
    if (query === undefined) {
      if (this.#queries.size >= 64) {
        for (const old of this.#queries.values()) old.delete();
        this.#queries.clear();
      }
      query = new this.#treeSitter.Query(this.grammar(language).language, source);
      this.#queries.set(key, query);
    }
    return query;
  }

  /** Loads the grammar on first use. */
  grammar(id: LanguageId): Grammar {
    let grammar = this.#grammars.get(id);
    if (grammar === undefined) {
      const module = this.#modules[id];
      if (module === undefined) throw new Error(`no grammar for ${id}`);
      const language: Language = this.#treeSitter.Language.loadSync(module);
      grammar = readGrammar(id, language);
      this.#grammars.set(id, grammar);
    }
    return grammar;
  }

  #parse(language: LanguageId, source: string, old: Tree | null, trees: Tree[]): Parsed | ParseRefusal {
    if (!this.supports(language)) return 'unsupported';
    if (source.length > SOURCE_MAX_LENGTH) return 'too_large';
    const grammar = this.grammar(language);
    const parser = this.#parser;
    if (parser.language !== grammar.language) parser.setLanguage(grammar.language);
    let left = PARSE_BUDGET_CALLBACKS;
    const tree = parser.parse(source, old, { progressCallback: () => --left < 0 || this.memoryBytes > PARSE_MEMORY_MAX_BYTES });
    if (tree === null) {
      // Without this the next parse would go on with this source, and say nothing.
      parser.reset();
      return 'budget';
    }
    trees.push(tree);
    try {
      return { language, source, tree, snapshot: takeSnapshot(this.#treeSitter.binding(), tree, source, grammar) };
    } catch (error) {
      if (error instanceof SnapshotTooLarge) return 'too_large';
      throw error;
    }
  }

  #reparse(before: Parsed, source: string, splices: readonly Splice[], trees: Tree[]): Parsed | ParseRefusal {
    const old = before.tree.copy();
    trees.push(old);
    // From the end, so that the offsets of the earlier ones still hold.
    for (const splice of splices.toReversed()) old.edit(asEdit(before.source, splice));
    return this.#parse(before.language, source, old, trees);
  }
}

export const createEngine = (parts: EngineParts): Promise<Engine> => Engine.create(parts);

function asEdit(source: string, { start, end, text }: Splice): Edit {
  const startPosition = pointAt(source, start);
  const lastBreak = text.lastIndexOf('\n');
  let rows = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) rows += 1;
  return {
    startIndex: start,
    oldEndIndex: end,
    newEndIndex: start + text.length,
    startPosition,
    oldEndPosition: pointAt(source, end),
    newEndPosition: {
      row: startPosition.row + rows,
      column: lastBreak < 0 ? startPosition.column + text.length : text.length - lastBreak - 1,
    },
  } as Edit;
}

/** Row and column (UTF-16 units), both from 0. */
export function pointAt(source: string, offset: number): { row: number; column: number } {
  let row = 0;
  let lineStart = 0;
  for (let at = source.indexOf('\n'); at >= 0 && at < offset; at = source.indexOf('\n', at + 1)) {
    row += 1;
    lineStart = at + 1;
  }
  return { row, column: offset - lineStart };
}
