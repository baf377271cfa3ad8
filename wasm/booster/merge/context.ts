import type { Parsed, ParseRefusal, Session, Splice } from '../engine.ts';
import type { LanguageId } from '../languages.ts';
import type { Snapshot } from '../snapshot.ts';
import { type Prepared, prepare } from './align-lines.ts';
import { anonymousMethods, type Declaration, declarationsOf } from './declarations.ts';
import { isGivenUp } from './missing-names.ts';
import { compareDeclarations, countBlockFaults, countMarkers, countUnreachable, isWhole } from './proofs.ts';
import { applySplices, type Lines, type OutLine, splitLines, toSplices } from './text.ts';
import type { Candidate, RefusalReason } from './types.ts';

/** A refusal on its way out. */
export class Refusal extends Error {
  readonly reason: RefusalReason;
  readonly candidates: readonly Candidate[];

  constructor(reason: RefusalReason, detail: string, candidates: readonly Candidate[] = []) {
    super(detail);
    this.reason = reason;
    this.candidates = candidates;
  }
}

/** An output that holds all proofs. */
export interface Proved {
  readonly output: string;
  readonly splices: readonly Splice[];
  readonly removed: readonly string[];
  /** The output's tree. */
  readonly after: Snapshot;
}

export interface Failure {
  readonly reason: RefusalReason;
  readonly detail: string;
}

/** Lines of a statement that may be deleted without all of it: an unwrapped block loses its first and its last. */
const PART_MAX_LINES = 3;

/** Lines that a deleted stretch is slid by to find its true edges. */
const SLIDE_MAX = 6;

/** What a style lets an edit do to declarations that it does not show any more. */
export type Removal =
  /** Said outright: a `-` line, a SEARCH text. */
  | 'explicit'
  /** Shown by neighbours that stand together; a rename is not one. */
  | 'shown'
  /** Whole definitions: what is within a function may go, what is a member of anything else may not. */
  | 'members'
  /** The edit is the whole file. */
  | 'rewrite';

/** The original, parsed and prepared once for all that is tried on it. */
export class Context {
  readonly session: Session;
  readonly language: LanguageId;
  readonly source: string;
  readonly parsed: Parsed;
  readonly lines: Lines;
  readonly prepared: Prepared;
  /** The edit's last line has no end: it may have been cut off within it. */
  readonly openEnd: boolean;
  #declarations: Declaration[] | null = null;

  constructor(session: Session, language: LanguageId, source: string, openEnd: boolean) {
    this.openEnd = openEnd;
    this.session = session;
    this.language = language;
    this.source = source;
    this.parsed = accepted(session.parse(language, source));
    this.lines = splitLines(source);
    this.prepared = prepare(this.lines.texts);
  }

  get declarations(): readonly Declaration[] {
    this.#declarations ??= declarationsOf(this.parsed.snapshot, this.language);
    return this.#declarations;
  }

  /** Parses a text of its own. */
  parse(source: string): Parsed {
    return accepted(this.session.parse(this.language, source));
  }

  proveLines(out: readonly OutLine[], removal: Removal): Proved | Failure {
    return this.prove(toSplices(this.lines, out), removal);
  }

  /** Makes the output and checks it. */
  prove(splices: readonly Splice[], removal: Removal): Proved | Failure {
    const before = this.parsed.snapshot;
    const output = applySplices(this.source, splices);
    if (output === this.source) return { output, splices: [], removed: [], after: before };
    const after = accepted(this.session.reparse(this.parsed, output, splices)).snapshot;
    if (after.errorCount > before.errorCount) {
      const error = after.errors()[0] ?? 0;
      return { reason: 'does_not_parse', detail: `the result has a syntax error in line ${lineAt(output, after.start(error))}` };
    }
    if (this.language === 'python' && countBlockFaults(after) > countBlockFaults(before))
      return {
        reason: 'does_not_parse',
        detail: 'a block would be without a statement, or a statement deeper than its neighbours',
      };
    if (countMarkers(after) > countMarkers(before)) return { reason: 'proof_failed', detail: 'a marker is left in the result' };
    const { lost, gained, duplicated } = compareDeclarations(this.declarations, declarationsOf(after, this.language));
    if (duplicated.length > 0) return { reason: 'proof_failed', detail: `declared twice: ${duplicated.slice(0, 3).join(', ')}` };
    if ((removal === 'members' || removal === 'shown') && countUnreachable(after) > countUnreachable(before)) {
      return { reason: 'proof_failed', detail: 'a statement would stand behind one that ends its block' };
    }
    if (removal === 'members') {
      const missing = lost.find((declaration) => !this.#isLocal(declaration));
      if (missing !== undefined) return { reason: 'proof_failed', detail: `${missing.path} would be lost` };
      const moved = gained.find(({ key, parent }) => parent >= 0 && this.declarations.some((other) => other.key === key));
      if (moved !== undefined) return { reason: 'proof_failed', detail: `${moved.path} stands elsewhere in the original` };
    }
    if (removal === 'shown') {
      const renamed = lost.find(
        (declaration) =>
          gained.some((other) => kindOf(other.key) === kindOf(declaration.key)) &&
          !isGivenUp(before, declaration, after, this.language),
      );
      if (renamed !== undefined) return { reason: 'proof_failed', detail: `${renamed.path} would be lost or renamed` };
      const [had, has] = [anonymousMethods(before), anonymousMethods(after)];
      const gone = [...had].find(([name, count]) => count > (has.get(name) ?? 0));
      if (gone !== undefined && [...has].some(([name, count]) => count > (had.get(name) ?? 0)))
        return { reason: 'proof_failed', detail: `method ${gone[0]} would be lost or renamed` };
      for (const splice of splices) {
        if (splice.text.trim() !== '') continue;
        const count = this.source
          .slice(splice.start, splice.end)
          .split('\n')
          .filter((text) => text.trim() !== '').length;
        if (count > PART_MAX_LINES && !this.#isWholeSomewhere(splice)) {
          return {
            reason: 'proof_failed',
            detail: `line ${lineAt(this.source, splice.start)}: part of a statement would be deleted`,
          };
        }
      }
    }
    return { output, splices, removed: lost.map(({ path }) => path), after };
  }

  /** A deleted stretch may be taken a few lines earlier or later where those read the same: `}` and `}`. */
  #isWholeSomewhere({ start, end }: Splice): boolean {
    const { texts, starts } = this.lines;
    let first = starts.findLastIndex((offset) => offset <= start);
    let next = starts.findIndex((offset) => offset >= end);
    for (let tries = 0; first > 0 && tries < SLIDE_MAX && texts[first - 1] === texts[next - 1]; tries += 1) {
      first -= 1;
      next -= 1;
    }
    for (let tries = 0; tries < SLIDE_MAX * 2; tries += 1) {
      if (isWhole(this.parsed.snapshot, starts[first] ?? 0, starts[next] ?? end)) return true;
      if (next >= texts.length || texts[first] !== texts[next]) return false;
      first += 1;
      next += 1;
    }
    return false;
  }

  /** Within a function: nobody outside can name it. */
  #isLocal(declaration: Declaration): boolean {
    return /(?:^|\/)(?:function|method):[^/]*\/./.test(declaration.path);
  }
}

const kindOf = (key: string): string => key.slice(0, key.indexOf(':'));

export function accepted(parsed: Parsed | ParseRefusal): Parsed {
  if (typeof parsed !== 'string') return parsed;
  throw new Refusal(
    parsed,
    { too_large: 'the text is too large', budget: 'parsing took too long', unsupported: 'no such grammar' }[parsed],
  );
}

/** 1-based. */
export function lineAt(source: string, offset: number): number {
  let line = 1;
  for (let at = source.indexOf('\n'); at >= 0 && at < offset; at = source.indexOf('\n', at + 1)) line += 1;
  return line;
}

/** Nothing to do: the edit is in the original already. */
export const unchanged = ({ source, parsed }: Context): Proved => ({
  output: source,
  splices: [],
  removed: [],
  after: parsed.snapshot,
});

export const isFailure = (result: Proved | Failure): result is Failure => 'reason' in result;
