import type { Parsed, Session } from '../engine.ts';
import type { StructureMatch } from './match.ts';
import { compilePattern, segmentsOf, type Metavariable, type Segment } from './pattern.ts';
import { Positions } from './positions.ts';
import { emptyBlocks, isRowOfNodes, newDuplicates, PROOF, sameSkeleton, type Stretch } from './proofs.ts';
import { parsedOrRefuse, refuse, success } from './result.ts';
import { matchesOf, SEARCH_MATCHES_MAX } from './search.ts';
import type { BoosterResult } from './task.ts';

/**
 * Replaces every match by the template. Code that a metavariable stands for is copied as it is, with the matches inside it
 * replaced, too; where a copy would fall apart in its new place it gets parentheses. What cannot be proved is refused.
 */
export function rewrite(session: Session, parsed: Parsed, pattern: string, template: string): BoosterResult<string> {
  const segments = templateOf(session, parsed, pattern, template);
  const matches = matchesOf(session, parsed, pattern, SEARCH_MATCHES_MAX + 1);
  if (matches.length === 0) refuse('not_found', 'nothing matches the pattern');
  if (matches.length > SEARCH_MATCHES_MAX) refuse('too_large', `more than ${SEARCH_MATCHES_MAX} matches`);
  refuseOverlaps(parsed, matches);
  const parentheses = new Set<string>();
  for (let round = 0; round < 4; round++) {
    const draft = new Draft(parsed, matches, segments, parentheses);
    const after = parsedOrRefuse(session.parse(parsed.language, draft.text));
    const tree = after.snapshot;
    const loose = draft.pieces.filter((piece) => piece.end > piece.start && !isRowOfNodes(tree, piece));
    if (tree.errorCount <= parsed.snapshot.errorCount && loose.length === 0) {
      const stretches = draft.pieces.filter((piece) => piece.outermost);
      if (sameSkeleton(parsed.snapshot, tree, stretches)) return proved(session, parsed, after, pattern, matches.length);
    }
    // A piece that is no whole node, or that makes something else of what stands round it.
    const wanting = (loose.length > 0 ? loose : draft.pieces).filter(
      (piece) => piece.kind !== 'row' && !parentheses.has(piece.key),
    );
    if (wanting.length === 0) {
      return tree.errorCount > parsed.snapshot.errorCount
        ? refuse('proof_failed', 'the result does not parse', errorPlace(after))
        : refuse('proof_failed', 'the replacement would change the structure of the code round it');
    }
    for (const piece of wanting) parentheses.add(piece.key);
  }
  return refuse('proof_failed', 'no parentheses keep the structure of the code');
}

function proved(session: Session, before: Parsed, after: Parsed, pattern: string, count: number): BoosterResult<string> {
  if (emptyBlocks(after.snapshot).length > emptyBlocks(before.snapshot).length)
    refuse('proof_failed', 'a block would be left without a statement');
  const duplicates = newDuplicates(before.snapshot, after.snapshot);
  if (duplicates.length > 0) refuse('proof_failed', `declared twice afterwards: ${duplicates.slice(0, 4).join(', ')}`);
  const proofs = [PROOF.parses, PROOF.structure, PROOF.untouched, PROOF.noDuplicates];
  // A template may hold its own pattern (`f($X)` to `log(f($X))`); then a second run would add to the first.
  const again = matchesOf(session, after, pattern, 1);
  const assumed = again.length === 0 ? [] : ['the result matches the pattern again: applying it twice is not the same as once'];
  return success(after.source, again.length === 0 ? [...proofs, PROOF.idempotent] : proofs, { count, assumed });
}

function templateOf(session: Session, parsed: Parsed, pattern: string, template: string): readonly Segment[] {
  const names = compilePattern(session, parsed.language, pattern)[0]?.names;
  const segments = segmentsOf(template);
  for (const segment of segments) {
    if (typeof segment === 'string') continue;
    const known = names?.get(segment.name);
    const written = `${segment.many ? '$$$' : '$'}${segment.name === '' ? '_' : segment.name}`;
    if (known === undefined) {
      refuse('not_found', `the rewrite names ${written}, the pattern does not`, {
        at: new Positions(template).at(segment.offset),
      });
    }
    if (known.many !== segment.many) refuse('ambiguous', `${written}: one node in one text, many in the other`);
  }
  return segments;
}

/** Matches lie apart or inside a capture of one another; anything else has no one meaning. */
function refuseOverlaps(parsed: Parsed, matches: readonly StructureMatch[]): void {
  const positions = new Positions(parsed.source);
  const open: StructureMatch[] = [];
  for (const match of matches) {
    while ((open.at(-1)?.end ?? Number.POSITIVE_INFINITY) <= match.start) open.pop();
    const outer = open.at(-1);
    if (outer !== undefined && !insideCapture(parsed, outer, match)) {
      refuse('ambiguous', 'two matches overlap', {
        candidates: [outer, match].map((one) => ({
          ...positions.at(one.start),
          text: parsed.source.slice(one.start, one.end).slice(0, 200),
        })),
      });
    }
    open.push(match);
  }
}

function insideCapture({ snapshot: tree }: Parsed, outer: StructureMatch, inner: StructureMatch): boolean {
  return [...outer.captures.values()].some(({ nodes }) => {
    const [first, last] = [nodes[0], nodes.at(-1)];
    return first !== undefined && last !== undefined && tree.start(first) <= inner.start && inner.end <= tree.end(last);
  });
}

function errorPlace(parsed: Parsed): { at?: { line: number; column: number } } {
  const [first] = parsed.snapshot.errors();
  return first === undefined ? {} : { at: new Positions(parsed.source).at(parsed.snapshot.start(first)) };
}

interface Piece extends Stretch {
  /** `row`: a list of captured nodes, which no parentheses can hold together. */
  readonly kind: 'match' | 'capture' | 'row';
  /** The same piece in each draft. */
  readonly key: string;
  /** A match that is in no other. */
  readonly outermost: boolean;
}

interface Indent {
  readonly from: string;
  readonly to: string;
}

/** One attempt at the new text, and where its pieces lie in it. */
class Draft {
  readonly pieces: Piece[] = [];
  readonly parsed: Parsed;
  readonly matches: readonly StructureMatch[];
  readonly segments: readonly Segment[];
  readonly parentheses: ReadonlySet<string>;
  #text = '';
  readonly #source: string;
  readonly #lineBreak: string;

  constructor(
    parsed: Parsed,
    matches: readonly StructureMatch[],
    segments: readonly Segment[],
    parentheses: ReadonlySet<string>,
  ) {
    this.parsed = parsed;
    this.matches = matches;
    this.segments = segments;
    this.parentheses = parentheses;
    this.#source = parsed.source;
    this.#lineBreak = /\r\n/.test(parsed.source) ? '\r\n' : '\n';
    this.#copy(0, parsed.source.length, { from: '', to: '' }, 0);
  }

  get text(): string {
    return this.#text;
  }

  /** Copies a stretch of the source, replacing the matches in it. */
  #copy(start: number, end: number, indent: Indent, depth: number): void {
    let at = start;
    for (const [index, match] of this.matches.entries()) {
      if (match.start < at || match.end > end) continue;
      this.#plain(at, match.start, indent);
      at = this.#match(match, index, indent, depth);
    }
    this.#plain(at, end, indent);
  }

  /** Copies text; each line that begins in it moves with the first, unless it begins inside a string. */
  #plain(start: number, end: number, { from, to }: Indent): void {
    if (from === to) {
      this.#text += this.#source.slice(start, end);
      return;
    }
    let at = start;
    for (
      let lineBreak = this.#source.indexOf('\n', at);
      lineBreak >= 0 && lineBreak < end;
      lineBreak = this.#source.indexOf('\n', at)
    ) {
      this.#text += this.#source.slice(at, lineBreak + 1);
      at = lineBreak + 1;
      if (
        at < end &&
        this.#source.startsWith(from, at) &&
        !this.#inString(at) &&
        !/^[ \t]*\r?\n/.test(this.#source.slice(at, at + 200))
      ) {
        this.#text += to;
        at += from.length;
      }
    }
    this.#text += this.#source.slice(at, end);
  }

  #inString(offset: number): boolean {
    const tree = this.parsed.snapshot;
    const node = tree.nodeAt(offset, offset);
    for (let outer = node; outer >= 0; outer = tree.parent(outer)) {
      if (/string|template|heredoc|text_block/.test(tree.type(outer)))
        return tree.start(outer) < offset && offset < tree.end(outer);
    }
    return false;
  }

  /** Writes the template for one match; answers where the source goes on. */
  #match(match: StructureMatch, index: number, indent: Indent, depth: number): number {
    const key = `m${index}`;
    if (this.segments.every((segment) => typeof segment === 'string' && segment.trim() === '')) return this.#delete(match, depth);
    const base = indentAt(this.#source, match.start);
    const own = base.startsWith(indent.from) ? indent.to + base.slice(indent.from.length) : base;
    const start = this.#text.length;
    const wrap = this.parentheses.has(key);
    if (wrap) this.#text += '(';
    for (const [at, segment] of this.segments.entries()) {
      if (typeof segment === 'string') {
        const text = this.#besideEmpty(match, at, segment);
        this.#text += text.replaceAll(/\r?\n/g, this.#lineBreak + own);
      } else this.#capture(match, segment, `${key}.${at}`, depth);
    }
    if (wrap) this.#text += ')';
    // The statement's own semicolon, if the pattern did not take it in and the template brings one.
    const after =
      this.#text.endsWith(';') && this.#source.charAt(match.end) === ';' && this.#source.charAt(match.end - 1) !== ';';
    if (after) this.#text = this.#text.slice(0, -1);
    this.pieces.push({
      kind: 'match',
      key,
      outermost: depth === 0,
      start,
      end: this.#text.length,
      oldStart: match.start,
      oldEnd: match.end,
    });
    return match.end;
  }

  #capture(match: StructureMatch, variable: Metavariable, key: string, depth: number): void {
    const tree = this.parsed.snapshot;
    const nodes = match.captures.get(variable.name)?.nodes ?? [];
    const [first, last] = [nodes[0], nodes.at(-1)];
    if (first === undefined || last === undefined) return;
    const [from, to] = [tree.start(first), tree.end(last)];
    const wrap = this.parentheses.has(key);
    if (wrap) this.#text += '(';
    const start = this.#text.length;
    this.#copy(from, to, { from: indentAt(this.#source, from), to: indentAt(this.#text, start) }, depth + 1);
    const end = this.#text.length;
    if (wrap) this.#text += ')';
    this.pieces.push({ kind: variable.many ? 'row' : 'capture', key, outermost: false, start, end, oldStart: from, oldEnd: to });
  }

  /** Beside a row of nothing the comma that would have parted it goes, too. */
  #besideEmpty(match: StructureMatch, at: number, text: string): string {
    const isEmpty = (segment: Segment | undefined): boolean =>
      typeof segment === 'object' && segment.many && match.captures.get(segment.name)?.nodes.length === 0;
    let kept = text;
    if (isEmpty(this.segments[at + 1]) && /,\s*$/.test(kept)) kept = kept.replace(/,\s*$/, '');
    else if (isEmpty(this.segments[at - 1])) kept = kept.replace(/^\s*,\s*/, '');
    return kept;
  }

  /** Leaves the match out, with its line if nothing else stands on it. */
  #delete(match: StructureMatch, depth: number): number {
    const lineStart = this.#text.lastIndexOf('\n') + 1;
    const rest = /^[ \t]*(?:\r?\n|$)/.exec(this.#source.slice(match.end));
    const alone = rest !== null && this.#text.slice(lineStart).trim() === '';
    if (alone) this.#text = this.#text.slice(0, lineStart);
    const start = this.#text.length;
    const end = alone ? match.end + rest[0].length : match.end;
    this.pieces.push({
      kind: 'row',
      key: '',
      outermost: depth === 0,
      start,
      end: start,
      oldStart: match.start,
      oldEnd: match.end,
    });
    return end;
  }
}

/** The white space that the offset's line begins with. */
function indentAt(text: string, offset: number): string {
  const lineStart = text.lastIndexOf('\n', offset - 1) + 1;
  return /^[ \t]*/.exec(text.slice(lineStart, offset))?.[0] ?? '';
}
