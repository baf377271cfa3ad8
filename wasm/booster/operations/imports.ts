import type { Parsed, Session, Splice } from '../engine.ts';
import type { LanguageId } from '../languages.ts';
import type { Snapshot } from '../snapshot.ts';
import { addImport, dedupeOnce, type ImportState, readState, removeImport, sortImports } from './imports/edit.ts';
import { ECMA_IMPORTS } from './imports/ecma.ts';
import { GO_IMPORTS } from './imports/go.ts';
import { JAVA_IMPORTS } from './imports/java.ts';
import { type Dialect, isComment, keysOf, type Style } from './imports/model.ts';
import { PYTHON_IMPORTS } from './imports/python.ts';
import { readRemovals, readRequests } from './imports/requests.ts';
import { RUST_IMPORTS } from './imports/rust.ts';
import { PROOF } from './proofs.ts';
import { spliced } from './rename.ts';
import { parsedOrRefuse, refuse, success } from './result.ts';
import type { BoosterResult, ImportChanges } from './task.ts';

const DIALECTS: Partial<Readonly<Record<LanguageId, Dialect>>> = {
  javascript: ECMA_IMPORTS,
  typescript: ECMA_IMPORTS,
  tsx: ECMA_IMPORTS,
  python: PYTHON_IMPORTS,
  go: GO_IMPORTS,
  rust: RUST_IMPORTS,
  java: JAVA_IMPORTS,
};

/** Imports to add and remove in one task. */
export const IMPORT_CHANGES_MAX = 100;
/** Rounds of merging; a file has no more statements that say the same. */
const DEDUPE_ROUNDS_MAX = 300;

/**
 * Changes a file's imports: first removes, then adds, dedupes and sorts, each only if asked for. Nothing but imports may
 * change, which is proved, and so is that the imports afterwards are those before, less and more what was asked for.
 */
export function imports(session: Session, parsed: Parsed, changes: ImportChanges): BoosterResult<string> {
  const dialect = DIALECTS[parsed.language];
  if (dialect === undefined) return refuse('unsupported', `no imports for ${parsed.language}`);
  const { add = [], remove = [], sort, dedupe } = changes;
  if (add.length + remove.length === 0 && sort !== true && dedupe !== true)
    refuse('empty', 'no change of the imports is asked for');
  if (parsed.snapshot.errorCount > 0) refuse('does_not_parse', 'the original has syntax errors');
  if (add.length + remove.length > IMPORT_CHANGES_MAX) {
    refuse('too_large', `at most ${IMPORT_CHANGES_MAX} imports in one task`);
  }
  const work = new ImportWork(session, parsed, dialect);
  const wanted = work.run(changes);
  const { source } = work.parsed;
  if (source === parsed.source) return success(source, [PROOF.idempotent], { count: 0 });
  prove(parsed.snapshot, work.parsed.snapshot, dialect, wanted, changes);
  const again = new ImportWork(session, work.parsed, dialect);
  again.run(changes);
  if (again.parsed.source !== source) refuse('proof_failed', 'doing it twice is not the same as once');
  const assumed = parsed.language === 'rust' && remove.length > 0 ? ['no removed trait is used by its methods only'] : [];
  return success(source, [PROOF.parses, PROOF.imports, PROOF.untouched, PROOF.idempotent], { count: work.steps, assumed });
}

/** The keys of names that came and went, to be compared with what the result has. */
interface Wanted {
  readonly added: ReadonlySet<string>;
  readonly removed: ReadonlySet<string>;
}

class ImportWork {
  steps = 0;
  parsed: Parsed;
  readonly #session: Session;
  readonly #dialect: Dialect;
  readonly #style: Style;

  constructor(session: Session, parsed: Parsed, dialect: Dialect) {
    this.#session = session;
    this.parsed = parsed;
    this.#dialect = dialect;
    this.#style = styleOf(parsed.source);
  }

  run({ add = [], remove = [], dedupe, sort }: ImportChanges): Wanted {
    const { language } = this.parsed;
    const requests = add.flatMap((one) => readRequests(this.#session, language, this.#dialect, one, this.#style));
    const removals = remove.flatMap((one) => readRemovals(this.#session, language, this.#dialect, one, this.#style));
    const comesBack = new Set(requests.flatMap(({ entry }) => entry.names.map((name) => name.local)));
    const before = this.#keys();
    for (const removal of removals) this.#apply(removeImport(this.#state(), removal, comesBack));
    const left = this.#keys();
    for (const request of requests) this.#apply(addImport(this.#state(), request));
    if (dedupe === true) {
      for (let round = 0; this.#apply(dedupeOnce(this.#state())); round++) {
        if (round > DEDUPE_ROUNDS_MAX) refuse('budget', 'too many imports to merge');
      }
    }
    if (sort === true) this.#apply(sortImports(this.#state()));
    return { added: new Set(requests.flatMap(({ entry }) => keysOf(entry))), removed: difference(before, left) };
  }

  #state(): ImportState {
    return readState(this.parsed.snapshot, this.#dialect, this.#style);
  }

  #keys(): ReadonlySet<string> {
    return new Set(this.#dialect.entries(this.parsed.snapshot).flatMap(keysOf));
  }

  /** Whether there was something to apply. */
  #apply(splices: readonly Splice[]): boolean {
    if (splices.length === 0) return false;
    this.steps++;
    const text = spliced(
      this.parsed.source,
      splices.toSorted((a, b) => a.start - b.start),
    );
    this.parsed = parsedOrRefuse(this.#session.parse(this.parsed.language, text));
    if (this.parsed.snapshot.errorCount > 0) refuse('proof_failed', 'the result does not parse');
    return true;
  }
}

const difference = (a: ReadonlySet<string>, b: ReadonlySet<string>): ReadonlySet<string> =>
  new Set([...a].filter((one) => !b.has(one)));

/** How the file writes its strings and ends its statements; by default as most do. */
function styleOf(source: string): Style {
  const count = (pattern: RegExp): number => source.match(pattern)?.length ?? 0;
  const imported = /^import\b.*?(["'])[^"'\n]*\1(;?)[ \t]*\r?$/m.exec(source);
  const double = count(/"/g) > count(/'/g);
  const bare = count(/[\w)\]'"`][ \t]*\r?$/gm) > count(/;[ \t]*\r?$/gm);
  return {
    quote: imported?.[1] ?? (double ? '"' : "'"),
    semicolon: imported === null ? (bare ? '' : ';') : (imported[2] ?? ''),
    lineBreak: source.includes('\r\n') ? '\r\n' : '\n',
  };
}

function prove(before: Snapshot, after: Snapshot, dialect: Dialect, { added, removed }: Wanted, changes: ImportChanges): void {
  const [old, now] = [before, after].map((tree) => dialect.entries(tree).flatMap(keysOf)) as [string[], string[]];
  const [had, has] = [new Set(old), new Set(now)];
  for (const key of had) if (!has.has(key) && !removed.has(key)) refuse('proof_failed', `an import would be lost: ${shown(key)}`);
  for (const key of has) if (!had.has(key) && !added.has(key)) refuse('proof_failed', `an import would appear: ${shown(key)}`);
  if (changes.dedupe !== true && now.length < old.length - [...old].filter((key) => removed.has(key)).length) {
    refuse('proof_failed', 'an import would be lost');
  }
  if (codeOf(before, dialect) !== codeOf(after, dialect)) refuse('proof_failed', 'code beside the imports would change');
  const lost = commentsOf(before).filter((comment) => !commentsOf(after).includes(comment));
  // A comment behind a removed statement goes with it.
  if (lost.length > 0 && (changes.remove?.length ?? 0) === 0)
    refuse('proof_failed', `a comment would be lost: ${lost[0]?.slice(0, 80) ?? ''}`);
}

const shown = (key: string): string => key.split('\n').filter(Boolean).join(' ').slice(0, 120);

/** All top-level code that is no import, as it is written. */
function codeOf(tree: Snapshot, dialect: Dialect): string {
  const entries = new Set(dialect.entries(tree).map((entry) => entry.node));
  return tree
    .namedChildren(0)
    .filter((node) => !entries.has(node) && !isComment(tree, node) && tree.type(node) !== 'import_declaration')
    .map((node) => tree.text(node).trim())
    .join('\n');
}

function commentsOf(tree: Snapshot): readonly string[] {
  const found: string[] = [];
  for (let node = 0; node < tree.count; node++)
    if (isComment(tree, node) && tree.isNamed(node)) found.push(tree.text(node).trim());
  return found;
}
