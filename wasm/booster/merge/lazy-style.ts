import { type Context, isFailure, Refusal } from './context.ts';
import { atOriginalDepth, hasMarker, itemsOf, mergeLines, withEdges } from './lazy.ts';
import { isMarkerLine } from './markers.ts';
import { onlyOne, type Outcome } from './outcome.ts';
import { confirms, structureOf } from './structure.ts';
import { isBlank } from './text.ts';

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
  if (merge === null) throw new Refusal('not_found', 'the edit has no place in the original');
  (globalThis as unknown as { __outs?: string[] }).__outs = merge.readings.map(
    (r) => `${r.cost}\n` + r.out.map((l) => (typeof l === 'number' ? context.lines.texts[l] : l)).join('\n'),
  ); // DEBUG
  if (merge.crowded) throw new Refusal('ambiguous', 'the edit fits the original in many places');
  if ((merge.readings[0]?.evidence ?? 0) < EVIDENCE_MIN)
    throw new Refusal('not_found', 'the edit shares too little with the original');
  const [best] = merge.readings;
  // Who marks the one edge of a file, or begins where it begins, and does not mark the other, may mean that it ends there.
  if (best !== undefined && best.hiddenAfter > 0 && best.hiddenBefore === 0) {
    throw new Refusal('ambiguous', 'the end of the file is neither shown nor marked, but its beginning is');
  }
  const tried = merge.readings.map((reading) => context.proveLines(reading.out, 'shown'));
  const structure = structureOf(context, texts);
  const confirmed = tried.filter((each, at) => {
    const reading = merge.readings[at];
    if (structure === null || structure.spans.length === 0 || isFailure(each) || reading === undefined) return false;
    return confirms(context, structure, edged, reading, each.after);
  });
  // Of several readings the one that the edit's own tree agrees with.
  if (confirmed.length > 0) return { proved: onlyOne(context, confirmed), engine: 'tree+lines' };
  return { proved: onlyOne(context, tried), engine: 'lines' };
}

/**
 * Lines that look like markers and are text: they stand in a string, and the original has them too. In a string that the
 * edit changes, a marker may stand for text as well as be text; it is taken for a marker, and the proofs see to the rest.
 */
export function contentLines(context: Context, texts: readonly string[]): (line: number) => boolean {
  const known = texts.map((text) => isMarkerLine(text, context.language) && context.prepared.ids.has(text.trimEnd()));
  const source = texts.join('\n');
  if (!known.includes(true) || !/["'`]/.test(source)) return () => false;
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
