import { weightOf } from './align-lines.ts';
import { type Context, isFailure, Refusal } from './context.ts';
import type { Outcome } from './outcome.ts';
import { exactPlaces, isDone, type Place, shifted, shiftedPlaces } from './places.ts';
import { isStable } from './search-replace.ts';
import { HUNK_LINE } from './style.ts';
import { isBlank, type OutLine, splitLines } from './text.ts';

interface HunkLine {
  readonly sign: ' ' | '+' | '-';
  readonly text: string;
}

interface Hunk {
  readonly lines: readonly HunkLine[];
  /** First old line as the header says, from 0; -1 if it says none. Never trusted alone. */
  readonly statedLine: number;
  /** What stands after the second `@@`: the beginning of the line that heads the function. */
  readonly heading: string;
}

export const HUNKS_MAX = 500;

export function parseHunks(texts: readonly string[]): Hunk[] {
  const hunks: { lines: HunkLine[]; statedLine: number; heading: string }[] = [];
  let files = 0;
  for (let line = 0; line < texts.length; line += 1) {
    const text = texts[line] ?? '';
    if (text.startsWith('--- ') && (texts[line + 1] ?? '').startsWith('+++ ')) {
      files += 1;
      line += 1;
      continue;
    }
    if (HUNK_LINE.test(text)) {
      const header = /^@@+\s*(?:-(?<line>\d+)(?:,\d+)?\s+\+\d+(?:,\d+)?)?(?:\s*@@+)?\s?(?<heading>.*)$/.exec(text);
      const stated = header?.groups?.['line'];
      hunks.push({
        lines: [],
        statedLine: stated === undefined ? -1 : Number(stated) - 1,
        heading: (header?.groups?.['heading'] ?? '').replace(/^\.\.\.\s*@*|@@\s*$/g, '').trim(),
      });
      continue;
    }
    const hunk = hunks.at(-1);
    if (hunk === undefined || text.startsWith('\\ ')) continue;
    if (/^(?:diff --git |index [0-9a-f]+\.\.)/.test(text)) continue;
    const sign = text.charAt(0);
    if (sign === '+' || sign === '-' || sign === ' ') hunk.lines.push({ sign, text: text.slice(1) });
    // Models drop the space of a context line, of blank ones above all.
    else hunk.lines.push({ sign: ' ', text });
  }
  if (files > 1) throw new Refusal('unsupported', 'the diff changes several files');
  if (hunks.length > HUNKS_MAX) throw new Refusal('too_large', `more than ${HUNKS_MAX} hunks`);
  const real = hunks.filter((hunk) => hunk.lines.some(({ sign }) => sign !== ' '));
  if (real.length === 0) throw new Refusal('not_code', 'the diff changes nothing');
  return real;
}

/** A hunk in one of its places. */
interface Placed {
  readonly from: number;
  readonly to: number;
  readonly out: readonly OutLine[];
  /** It is applied already. */
  readonly done: boolean;
}

export function applyUnifiedDiff(context: Context, edit: readonly string[]): Outcome {
  const hunks = parseHunks(edit);
  const proved = context.proveLines(placeAll(context, context.lines.texts, hunks), 'explicit');
  if (isFailure(proved)) throw new Refusal(proved.reason, proved.detail);
  const again = splitLines(proved.output).texts;
  if (!isStable(() => placeAll(context, again, hunks))) {
    throw new Refusal('proof_failed', 'applied a second time, the edit would change the result again');
  }
  return { proved, engine: 'text' };
}

function placeAll(context: Context, texts: readonly string[], hunks: readonly Hunk[]): OutLine[] {
  const places = hunks.map((hunk) => appliedUnderHeading(texts, hunk) ?? placesOf(texts, hunk));
  for (const [at, each] of places.entries()) if (each.length === 0) throw missing(context, hunks[at]);
  const headed = (): (readonly Placed[])[] => places.map((each, at) => underHeading(texts, each, hunks[at]?.heading ?? ''));
  const chain = onlyChain(places) ?? onlyChain(headed()) ?? onlyChain(byDisplacement(hunks, headed()));
  if (chain === null) {
    const several = places.findIndex((each) => each.length > 1);
    const first = places[several] ?? places[0] ?? [];
    throw new Refusal(
      'ambiguous',
      several < 0 ? 'the hunks are not in the order of the original' : `hunk ${several + 1} fits in ${first.length} places`,
      first.slice(0, 5).map(({ from }) => ({ line: from + 1, text: texts[from] ?? '' })),
    );
  }
  const out: OutLine[] = [];
  let next = 0;
  for (const { from, to, out: fresh } of chain) {
    for (; next < from; next += 1) out.push(next);
    out.push(...fresh);
    next = to;
  }
  for (; next < texts.length; next += 1) out.push(next);
  return out;
}

/** Everywhere a hunk's old lines stand, by the strictest reading that has any. */
function placesOf(texts: readonly string[], hunk: Hunk): Placed[] {
  for (const lines of [hunk.lines, withoutBlankEnds(hunk.lines)]) {
    const old = lines.filter(({ sign }) => sign !== '+').map(({ text }) => text);
    if (old.every(isBlank)) {
      if (texts.every(isBlank))
        return [{ from: 0, to: texts.length, out: lines.flatMap(({ sign, text }) => (sign === '+' ? [text] : [])), done: false }];
      continue;
    }
    for (const places of [exactPlaces(texts, old), shiftedPlaces(texts, old)]) {
      const placed = places.flatMap((place) => placedAt(texts, lines, place));
      if (placed.length > 0) return placed;
    }
    const fresh = lines.filter(({ sign }) => sign !== '-').map(({ text }) => text);
    if (!fresh.some((text) => weightOf(text) === 'plain')) continue;
    const done = exactPlaces(texts, fresh);
    if (done.length > 0)
      return done.map(({ line }) => ({ from: line, to: line + fresh.length, out: numbers(line, fresh.length), done: true }));
  }
  return [];
}

const numbers = (from: number, count: number): number[] => Array.from({ length: count }, (_, at) => from + at);

function placedAt(texts: readonly string[], lines: readonly HunkLine[], { line, shift }: Place): Placed[] {
  const fresh = shifted(
    lines.map(({ text }) => text),
    shift,
  );
  if (fresh === null) return [];
  const count = lines.filter(({ sign }) => sign !== '+').length;
  const old = lines.flatMap(({ sign }, at) => (sign === '+' ? [] : [fresh[at] ?? '']));
  const after = lines.flatMap(({ sign }, at) => (sign === '-' ? [] : [fresh[at] ?? '']));
  if (isDone(texts, line, old, after)) return [{ from: line, to: line + count, out: numbers(line, count), done: true }];
  const out: OutLine[] = [];
  let at = line;
  for (const [index, { sign }] of lines.entries()) {
    if (sign === '+') out.push(fresh[index] ?? '');
    else {
      if (sign === ' ') out.push(at);
      at += 1;
    }
  }
  return [{ from: line, to: line + count, out, done: false }];
}

function withoutBlankEnds(lines: readonly HunkLine[]): readonly HunkLine[] {
  let end = lines.length;
  while (end > 0 && lines[end - 1]?.sign === ' ' && isBlank(lines[end - 1]?.text ?? '')) end -= 1;
  return lines.slice(0, end);
}

/** The one way to place all hunks in order and apart; null if there is none or more than one. */
function onlyChain(places: readonly (readonly Placed[])[]): Placed[] | null {
  // Earliest and latest placements meet exactly when there is one.
  const earliest: Placed[] = [];
  let end = 0;
  for (const each of places) {
    const place = each.find(({ from }) => from >= end);
    if (place === undefined) return null;
    earliest.push(place);
    end = place.to;
  }
  let start = Infinity;
  for (let at = places.length - 1; at >= 0; at -= 1) {
    const place = places[at]?.findLast(({ to }) => to <= start);
    if (place === undefined || place.from !== earliest[at]?.from) return null;
    start = place.from;
  }
  return earliest;
}

/** As `git diff` writes it: the last line before the hunk that begins with a letter. */
const HEADING_LINE = /^[A-Za-z_$]/;

function underHeading(texts: readonly string[], places: readonly Placed[], heading: string): readonly Placed[] {
  if (heading.length < 3 || places.length < 2) return places;
  const under = places.filter(({ from }) => stands(texts, from, heading));
  return under.length > 0 ? under : places;
}

/** Whether the last line above that begins with a letter is the heading. */
function stands(texts: readonly string[], from: number, heading: string): boolean {
  const wanted = heading.slice(0, 60).trimEnd();
  for (let line = from - 1; line >= 0; line -= 1) {
    const text = texts[line] ?? '';
    if (text.trim().startsWith(wanted)) return true;
    if (HEADING_LINE.test(text)) return false;
  }
  return false;
}

/** The new lines stand under the hunk's heading and the old ones do not, though they may stand elsewhere: applied before. */
function appliedUnderHeading(texts: readonly string[], hunk: Hunk): Placed[] | null {
  if (hunk.heading.length < 3) return null;
  const side = (sign: '+' | '-'): Placed[] => {
    const lines = hunk.lines.filter((line) => line.sign !== sign).map(({ text }) => text);
    const all = exactPlaces(texts, lines).map(({ line }) => ({
      from: line,
      to: line + lines.length,
      out: numbers(line, lines.length),
      done: true,
    }));
    return all.filter(({ from }) => stands(texts, from, hunk.heading));
  };
  const done = side('-');
  return done.length === 1 && side('+').length === 0 ? done : null;
}

/** Wrong line numbers are mostly wrong by the same: where hunks with one place agree on it, it decides for the others. */
function byDisplacement(hunks: readonly Hunk[], places: readonly (readonly Placed[])[]): readonly (readonly Placed[])[] {
  const displacements = new Set<number>();
  for (const [at, each] of places.entries()) {
    const stated = hunks[at]?.statedLine ?? -1;
    if (each.length === 1 && stated >= 0) displacements.add((each[0]?.from ?? 0) - stated);
  }
  const [displacement] = displacements;
  if (displacements.size !== 1 || displacement === undefined) return places;
  return places.map((each, at) => {
    const exact = each.filter(({ from }) => from === (hunks[at]?.statedLine ?? -1) + displacement);
    return exact.length === 1 ? exact : each;
  });
}

function missing(context: Context, hunk: Hunk | undefined): Refusal {
  const old = (hunk?.lines ?? []).filter(({ sign, text }) => sign !== '+' && weightOf(text) === 'plain');
  const known = old.filter(({ text }) => context.source.includes(text.trim()));
  return known.length * 2 < old.length || known.length === 0
    ? new Refusal('not_found', 'the old lines of the diff are not in the original')
    : new Refusal('stale', 'the original has only part of the old lines of the diff');
}
