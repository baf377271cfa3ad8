import { similarity, tokensOf, weightOf } from './align-lines.ts';
import { type Context, isFailure, Refusal } from './context.ts';
import type { Outcome } from './outcome.ts';
import { isBlank, type OutLine } from './text.ts';

/** Share of the original's lines that a text without markers must hold to be taken for the whole file. */
export const FULL_SHARE = 0.55;

/** Share of lines, and of definitions, from which a text is the file although some definition is missing. */
const NEARLY_ALL = 0.85;

/** Lines at an end of the original of which one must stand near the same end of the edit. */
const EDGE_LINES = 3;

/**
 * Whether an edit without markers is the whole file: it holds most of its lines, and begins and ends as the file does. A
 * class that comes without the imports over it is not.
 */
export function looksFull(context: Context, texts: readonly string[]): boolean {
  const original = context.lines.texts.filter((text) => !isBlank(text)).map((text) => text.trimEnd());
  if (original.length === 0) return true;
  const edit = texts.filter((text) => !isBlank(text)).map((text) => text.trimEnd());
  const kept = keptInOrder(original, edit);
  if (kept < FULL_SHARE) return false;
  // A file without one of its definitions reads as a snippet, unless nearly all else is there.
  const words = new Set(edit.join('\n').match(/[\p{L}\p{N}_$]+/gu));
  const outermost = context.declarations.filter(({ parent }) => parent < 0);
  const missing = outermost.filter(({ name }) => !(name.match(/[\p{L}\p{N}_$]+/gu) ?? []).every((word) => words.has(word)));
  if (missing.length > 0 && (kept < NEARLY_ALL || missing.length > outermost.length * (1 - NEARLY_ALL))) return false;
  const meets = (ends: readonly string[], theirs: readonly string[]): boolean => ends.some((text) => theirs.includes(text));
  const telling = original.filter((text) => weightOf(text) === 'plain');
  return (
    meets(telling.slice(0, EDGE_LINES), edit.slice(0, EDGE_LINES * 2)) &&
    meets(telling.slice(-EDGE_LINES), edit.slice(-EDGE_LINES * 4))
  );
}

/** The share of the original's lines that a text holds, as `looksFull` counts them. */
export const keptShare = ({ lines }: Context, texts: readonly string[]): number => {
  const telling = (all: readonly string[]): string[] => all.filter((text) => !isBlank(text)).map((text) => text.trimEnd());
  return keptInOrder(telling(lines.texts), telling(texts));
};

/** Of the telling lines that the original has once, the share that the edit has once too, in the same order. */
function keptInOrder(original: readonly string[], edit: readonly string[]): number {
  const once = (lines: readonly string[]): Map<string, number> => {
    const places = new Map<string, number>();
    for (const [at, text] of lines.entries()) if (weightOf(text) === 'plain') places.set(text, places.has(text) ? -1 : at);
    return places;
  };
  const theirs = once(edit);
  // Patience: the longest rising run of places.
  const tails: number[] = [];
  let unique = 0;
  for (const [text, place] of once(original)) {
    if (place < 0) continue;
    unique += 1;
    const there = theirs.get(text) ?? -1;
    if (there < 0) continue;
    let low = 0;
    let high = tails.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((tails[middle] ?? 0) < there) low = middle + 1;
      else high = middle;
    }
    tails[low] = there;
  }
  return unique === 0 ? 0 : tails.length / unique;
}

/** Declarations a rewrite may drop before it looks cut off. */
const LOST_SHARE_MAX = 0.5;

export function applyFull(context: Context, texts: readonly string[]): Outcome {
  const rewritten = withBlankEdges(texts, context.lines.texts);
  const snapshot = context.parse(`${rewritten.join('\n')}\n`).snapshot;
  if (snapshot.errorCount > context.parsed.snapshot.errorCount)
    throw new Refusal('does_not_parse', 'the new text has syntax errors');
  if (context.source.trim() !== '' && snapshot.count < 3) throw new Refusal('not_code', 'the edit holds no code');
  if (stopsShort(context.lines.texts, rewritten))
    throw new Refusal('proof_failed', 'the rewrite stops before the end of the original');
  if (endsElsewhere(context.lines.texts, rewritten))
    throw new Refusal('ambiguous', 'other lines come in place of the last ones: is that the end?');
  const proved = context.proveLines(diffLines(context, rewritten), 'rewrite');
  if (isFailure(proved)) throw new Refusal(proved.reason, proved.detail);
  if (proved.removed.length > 1 && proved.removed.length > context.declarations.length * LOST_SHARE_MAX) {
    throw new Refusal(
      'proof_failed',
      `the rewrite drops ${proved.removed.length} of ${context.declarations.length} declarations`,
    );
  }
  return { proved, engine: 'text' };
}

/** The new text ends with a line of the old one, and nothing of what follows that line there is in it. */
export function stopsShort(before: readonly string[], after: readonly string[]): boolean {
  const old = before.map((text) => text.trim());
  const last = after.findLast((text) => weightOf(text.trim()) === 'plain')?.trim();
  const at = last === undefined ? -1 : old.lastIndexOf(last);
  if (at < 0) return false;
  const held = new Set(after.map((text) => text.trim()));
  const rest = old.slice(at + 1).filter((text) => weightOf(text) === 'plain');
  return rest.length > 0 && !rest.some((text) => held.has(text));
}

/** Lines come in place of the last old ones that are fewer than those, or say something else: there may be more to come. */
export function endsElsewhere(before: readonly string[], after: readonly string[]): boolean {
  const telling = (texts: readonly string[]): string[] =>
    texts.map((text) => text.trim()).filter((text) => weightOf(text) === 'plain');
  const [old, fresh] = [telling(before), telling(after)];
  const rest = old.slice(old.findLastIndex((text) => fresh.includes(text)) + 1);
  const added = fresh.slice(fresh.findLastIndex((text) => old.includes(text)) + 1);
  const [last, end] = [rest.at(-1), added.at(-1)];
  if (last === undefined || end === undefined) return false;
  return similarity(tokensOf(last), tokensOf(end)) < ENDS_ALIKE_MIN && !/^(?:return|raise|yield)\b/.test(end);
}

/** The new version of a last line has this share of the old one's tokens, or leaves the function by itself. */
const ENDS_ALIKE_MIN = 0.4;

/** Blank lines round an answer say nothing, unless the file begins or ends with some, too. */
function withBlankEdges(texts: readonly string[], original: readonly string[]): readonly string[] {
  const edges = (lines: readonly string[]): [head: number, tail: number] => [
    Math.max(
      0,
      lines.findIndex((text) => !isBlank(text)),
    ),
    lines.length - 1 - lines.findLastIndex((text) => !isBlank(text)),
  ];
  const [[head, tail], [oldHead, oldTail]] = [edges(texts), edges(original)];
  return texts.slice(head - Math.min(head, oldHead), texts.length - tail + Math.min(tail, oldTail));
}

/**
 * The new lines with those of the original kept by position: equal ones at both ends, and in between those that are unique
 * in both, in order. It only decides which line ends and bytes stay; the text is the edit's either way.
 */
function diffLines(context: Context, texts: readonly string[]): OutLine[] {
  const old = context.lines.texts;
  const out: OutLine[] = [...texts];
  let head = 0;
  while (head < old.length && head < texts.length && old[head] === texts[head]) {
    out[head] = head;
    head += 1;
  }
  let tail = 0;
  while (
    tail < old.length - head &&
    tail < texts.length - head &&
    old[old.length - 1 - tail] === texts[texts.length - 1 - tail]
  ) {
    out[texts.length - 1 - tail] = old.length - 1 - tail;
    tail += 1;
  }
  const places = new Map<string, number>();
  for (let line = head; line < old.length - tail; line += 1) places.set(old[line] ?? '', places.has(old[line] ?? '') ? -1 : line);
  const twice = new Set<string>();
  const seen = new Set<string>();
  for (const text of texts) {
    if (seen.has(text)) twice.add(text);
    seen.add(text);
  }
  let last = head - 1;
  for (let line = head; line < texts.length - tail; line += 1) {
    const text = texts[line] ?? '';
    const place = places.get(text) ?? -1;
    if (place > last && !twice.has(text)) {
      out[line] = place;
      last = place;
    } else if (last + 1 < old.length - tail && old[last + 1] === text) {
      out[line] = last + 1;
      last += 1;
    }
  }
  return out;
}
