import type { Reading } from './align-readings.ts';
import type { EditItem } from './edit-items.ts';
import { type Context, type Failure, isFailure, type Proved, Refusal, unchanged } from './context.ts';
import { declarationsOf } from './declarations.ts';
import { editTreeOf } from './edit-tree.ts';
import { atOriginalDepth, embeds, hasMarker, HIDDEN_MIN, itemsOf, type LineMerge, mergeLines, withEdges } from './lazy.ts';
import { weightOf } from './align-lines.ts';
import { besideMarker } from './align-prices.ts';
import { isMarkerLine } from './markers.ts';
import { namesMissed } from './missing-names.ts';
import { candidatesOf, onlyOne, type Outcome } from './outcome.ts';
import { confirms, structureOf } from './structure.ts';
import { rivalsOf } from './rivals.ts';
import { isBlank, type OutLine, splitLines } from './text.ts';
import { readsLike, treeOpinion } from './tree.ts';

/** Matched lines, by what they say, that a placement must rest on. */
const EVIDENCE_MIN = 1;

export function applyLazy(context: Context, edit: readonly string[]): Outcome {
  if (context.parsed.snapshot.errorCount > 0) throw new Refusal('does_not_parse', 'the original has syntax errors');
  const texts = atOriginalDepth(edit, context.prepared);
  const items = itemsOf(texts, context.language, contentLines(context, texts));
  if (!items.some((item) => item.kind === 'line' && !isBlank(item.text)))
    throw new Refusal('not_code', 'the edit holds only markers');
  if (!hasMarker(items)) throw new Refusal('unsupported', 'the edit has no marker');
  const edged = withEdges(items, context.prepared);
  const merge = mergeLines(context.prepared, edged);
  if (embeds(context.lines.texts, items)) {
    const same = merge?.readings.find(({ out }) => out.every((line, at) => line === at));
    if (same !== undefined) guardPlaces(context, edged, same, unchanged(context));
    return { proved: unchanged(context), engine: 'lines' };
  }
  if (merge === null) throw new Refusal('not_found', 'the edit has no place in the original');
  if ((merge.readings[0]?.evidence ?? 0) < EVIDENCE_MIN)
    throw new Refusal('not_found', 'the edit shares too little with the original');
  const tree = editTreeOf(context, items);
  const opinion = tree === null ? null : treeOpinion(context, tree);
  if (opinion !== null)
    return { proved: agreed(context, merge, opinion, (reading) => tryReading(context, edged, reading)), engine: 'tree+lines' };
  if (merge.crowded) throw new Refusal('ambiguous', 'the edit fits the original in many places');
  const tried = merge.readings.map((reading) => tryReading(context, edged, reading));
  // Of several readings the one in which the edit's declarations stand where its tree has them.
  const structure = tree === null ? null : structureOf(context, tree);
  const confirmed = tried.filter((each, at) => {
    const reading = merge.readings[at];
    if (structure === null || structure.spans.length === 0 || isFailure(each) || reading === undefined) return false;
    return confirms(context, structure, edged, reading, each.after);
  });
  const proved = onlyOne(context, confirmed.length > 0 ? confirmed : tried);
  const chosen = merge.readings[tried.findIndex((each) => !isFailure(each) && each.output === proved.output)];
  if (chosen !== undefined) guardPlaces(context, edged, chosen, proved);
  return { proved, engine: 'lines' };
}

/** Refuses what holds all proofs elsewhere, too. */
function guardPlaces(context: Context, edged: readonly EditItem[], reading: Reading, { output }: Proved): void {
  const like = readsLike(output, context.language);
  for (const rival of rivalsOf(context.prepared, edged, reading)) {
    const other = context.proveLines(rival, 'shown');
    if (isFailure(other) || readsLike(other.output, context.language) === like) continue;
    throw new Refusal('ambiguous', 'its outermost lines stand elsewhere, too', candidatesOf(context, [other]));
  }
}

/** The one reading by lines that comes to what the tree came to. */
function agreed(
  context: Context,
  { readings }: LineMerge,
  opinion: string,
  attempt: (reading: Reading) => Proved | Failure,
): Proved {
  const like = readings.filter(({ out }) => readsLike(textOf(context, out), context.language) === opinion);
  if (like.length > 0) return onlyOne(context, like.map(attempt));
  const best = readings[0] === undefined ? undefined : attempt(readings[0]);
  if (best !== undefined && isFailure(best)) throw new Refusal(best.reason, best.detail);
  throw new Refusal(
    'ambiguous',
    'its lines read differently from its syntax tree',
    best === undefined ? [] : candidatesOf(context, [best]),
  );
}

const textOf = ({ lines }: Context, out: readonly OutLine[]): string =>
  out.map((line) => (typeof line === 'number' ? (lines.texts[line] ?? '') : line)).join('\n');

function tryReading(context: Context, edged: readonly EditItem[], reading: Reading): Proved | Failure {
  const unmarked = unmarkedEdge(context, reading, edged) ?? copiedAnchor(context, edged, reading);
  if (unmarked !== null) return { reason: 'ambiguous', detail: unmarked };
  const proved = context.proveLines(reading.out, 'shown');
  if (isFailure(proved)) return proved;
  // What the edit shows is there, in order: applied again, it finds itself.
  if (!embeds(splitLines(proved.output).texts, edged)) return { reason: 'proof_failed', detail: 'part of the edit is missing' };
  const renamed = halfRenamed(context, reading, proved);
  return renamed === null ? proved : { reason: 'ambiguous', detail: renamed };
}

/**
 * Who marks the one end of a file, or begins where it begins, and does not mark the other, may mean that it ends there; and
 * nobody leaves out two lines without saying so.
 */
function unmarkedEdge(context: Context, reading: Reading, edged: readonly EditItem[]): string | null {
  // New lines at such an end say nothing of what follows them: an answer that was cut off ends with some.
  if (reading.cutAfter > 0) return 'the end of the file would go, and nothing says so';
  if (reading.cutBefore > 0) return 'the beginning of the file would go, and nothing says so';
  if (reading.hiddenBefore > 0) {
    if (reading.hiddenBefore < HIDDEN_MIN) return 'a line or two before the edit are neither shown nor marked';
    if (reading.fresh.has(edged.findIndex(isTelling)))
      return 'the edit begins with new lines, and nothing shows what stands before them';
  }
  if (reading.hiddenAfter > 0) {
    if (reading.hiddenAfter < HIDDEN_MIN) return 'a line or two behind the edit are neither shown nor marked';
  }
  if (reading.hiddenAfter > 0 && reading.hiddenBefore === 0) {
    return 'the end of the file is neither shown nor marked, but its beginning is';
  }
  if (reading.hiddenBefore > 0 && (reading.hiddenAfter === 0 || !isImplicit(edged.at(-1))) && !mustBegin(context, reading)) {
    return 'the beginning of the file is neither shown nor marked, but its end is';
  }
  return null;
}

const isTelling = (item: EditItem): boolean => item.kind === 'line' && weightOf(item.text) === 'plain';

/** Whether what the edit goes on using, or its very syntax, needs the beginning of the file that it does not show. */
function mustBegin(context: Context, { out, hiddenBefore }: Reading): boolean {
  let hidden = 0;
  let first = 0;
  for (; hidden < hiddenBefore; first += 1) {
    const line = out[first];
    if (typeof line === 'number' && context.prepared.weights[line] !== 'blank') hidden += 1;
  }
  const { snapshot } = context.parse(`${textOf(context, out.slice(first))}\n`);
  return snapshot.errorCount > 0 || namesMissed(context.parsed.snapshot, snapshot, context.language).length > 0;
}

/**
 * B41: a telling line beside a marker tells a place. Where it became a new line while the one of the original, which has it
 * once, is still there, the edit was put somewhere else than it says.
 */
function copiedAnchor({ prepared }: Context, edged: readonly EditItem[], { out, places }: Reading): string | null {
  const kept = new Set(out.flatMap((line) => (typeof line === 'number' ? [prepared.keys[line] ?? 0] : [])));
  for (const [at, item] of edged.entries()) {
    if (item.kind !== 'line' || !isTelling(item) || !besideMarker(edged, at)) continue;
    const known = prepared.ids.get(item.text.trimEnd());
    if (known === undefined || prepared.counts[known] !== 1 || typeof out[places[at] ?? -1] !== 'string') continue;
    if (kept.has(known)) return `a line beside a marker would stand there twice: ${item.text.trim().slice(0, 60)}`;
  }
  return null;
}

const isImplicit = (item: EditItem | undefined): boolean => item?.kind === 'marker' && item.implicit;

/**
 * A new declaration that only one side ties to the original, beside a hidden one with nearly its name: was that renamed, or
 * does it stay? What is wrong, or null.
 */
function halfRenamed(context: Context, reading: Reading, proved: Proved): string | null {
  if (reading.loose.length === 0) return null;
  const after = declarationsOf(proved.after, context.language);
  const known = new Set(context.declarations.map(({ path }) => path));
  const starts = splitLines(proved.output).starts;
  for (const { from, to, side } of reading.loose) {
    const [start, end] = [starts[from] ?? 0, starts[to] ?? 0];
    for (const [at, fresh] of after.entries()) {
      if (known.has(fresh.path) || fresh.start < start || fresh.start >= end || fresh.key.startsWith('variable:')) continue;
      const siblings = after.filter((other) => other.parent === fresh.parent);
      const beside = siblings[siblings.indexOf(after[at] ?? fresh) + (side === 'after' ? 1 : -1)];
      if (beside === undefined || !known.has(beside.path) || kindOf(beside.key) !== kindOf(fresh.key)) continue;
      if (areNearlyEqual(beside.name, fresh.name)) return `${fresh.name} may be the new name of ${beside.name}`;
    }
  }
  return null;
}

const kindOf = (key: string): string => key.slice(0, key.indexOf(':'));

/** One is the other with a letter or two more, less or changed. */
function areNearlyEqual(a: string, b: string): boolean {
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  const apart = Math.max(a.length, b.length) - head - tail;
  return apart <= 2 && a.length > 4;
}

/**
 * Lines that look like markers and are text: they stand in a string, and the original has them too, or they are comments that
 * the original has between the same two lines, where they can hide nothing else. In a string that the edit changes, a marker
 * may stand for text as well as be text; it is taken for a marker, and the proofs see to the rest.
 */
export function contentLines(context: Context, texts: readonly string[]): (line: number) => boolean {
  const known = texts.map((text) => isMarkerLine(text, context.language) && context.prepared.ids.has(text.trimEnd()));
  if (!known.includes(true)) return () => false;
  const old = context.lines.texts;
  const triple = (all: readonly string[], at: number): string =>
    [all.slice(0, at).findLast((text) => !isBlank(text)), all[at], all.slice(at + 1).find((text) => !isBlank(text))]
      .map((text) => text?.trimEnd() ?? '')
      .join('\n');
  const own = new Set(old.flatMap((text, at) => (isMarkerLine(text, context.language) ? [triple(old, at)] : [])));
  const comments = texts.map((_, at) => known[at] === true && own.has(triple(texts, at)));
  const inStrings = stringLines(context, texts, known);
  return (line) => comments[line] === true || inStrings(line);
}

function stringLines(context: Context, texts: readonly string[], known: readonly boolean[]): (line: number) => boolean {
  const source = texts.join('\n');
  if (!/["'`]/.test(source)) return () => false;
  const snapshot = context.parse(source).snapshot;
  // A string that is opened or closed behind a marker would make everything after it text.
  if (snapshot.errorCount > 0) return () => false;
  const starts: number[] = [];
  let at = 0;
  for (const text of texts) {
    starts.push(at);
    at += text.length + 1;
  }
  return (line) => {
    if (known[line] !== true) return false;
    const text = texts[line] ?? '';
    const start = (starts[line] ?? 0) + (text.length - text.trimStart().length);
    for (let node = snapshot.nodeAt(start, start + 1); node >= 0; node = snapshot.parent(node)) {
      if (snapshot.start(node) < start && /string|template|heredoc/.test(snapshot.type(node))) return true;
      if (snapshot.type(node).includes('comment')) return false;
    }
    return false;
  };
}
