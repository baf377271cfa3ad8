import type { LanguageId } from '../languages.ts';
import { align } from './align.ts';
import { type Prepared, weightOf } from './align-lines.ts';
import { prepareItems } from './align-prices.ts';
import type { Reading } from './align-readings.ts';
import { Refusal } from './context.ts';
import type { EditItem } from './edit-items.ts';
import { isMarkerLine, splitInlineMarker } from './markers.ts';
import { commonIndent, indentOf, indentWidth, isBlank, reindent } from './text.ts';

/** How much dearer than the best reading another one must be to leave no doubt. */
export const MARGIN = 1;

const MARGIN_MAX = 2.5;

/** The same as a share of the best one's price: the more an edit changes, the less one line tells. */
export const RELATIVE_MARGIN = 0.08;

/** Readings looked at when the best has a close second. */
const CLOSE_READINGS = 16;

/** Prices up to which readings are looked for, one after the other: most edits are cheap, and a low bound is quick. */
const BOUNDS = [6, 30, 400];

/** Elision at an edge the edit did not mark, when it marks others. */
const EDGE_COST = 1.5;

/** The lines of a lazy edit: what is shown, and where something is left out. */
export function itemsOf(texts: readonly string[], language: LanguageId, isContent: (line: number) => boolean): EditItem[] {
  const items: EditItem[] = [];
  const marker = (indent: number, text: string): void => {
    while (items.length > 0 && isBlankItem(items.at(-1)) && items.findLast((item) => !isBlankItem(item))?.kind === 'marker')
      items.pop();
    if (items.at(-1)?.kind !== 'marker') items.push({ kind: 'marker', implicit: false, elisionCost: 0, indent, text });
  };
  for (const [line, text] of texts.entries()) {
    if (isContent(line)) items.push({ kind: 'line', text });
    else if (isMarkerLine(text, language)) marker(indentWidth(text), text);
    else {
      const inline = splitInlineMarker(text, language);
      if (inline === null) items.push({ kind: 'line', text });
      else {
        items.push({ kind: 'line', text: inline.before });
        marker(-1, '');
        if (inline.after !== '') items.push({ kind: 'line', text: indentOf(text) + inline.after });
      }
    }
  }
  return items.map((item, row) => (item.kind === 'line' ? { ...item, row } : item));
}

const isBlankItem = (item: EditItem | undefined): boolean => item?.kind === 'line' && isBlank(item.text);

export const hasMarker = (items: readonly EditItem[]): boolean => items.some((item) => item.kind === 'marker');

/** Whether the author puts blank lines round every marker: then they are no lines of the file. */
function setsOffMarkers(items: readonly EditItem[]): boolean {
  const sides = items
    .flatMap((item, at) => (item.kind === 'marker' ? [items[at - 1], items[at + 1]] : []))
    .filter((item) => item !== undefined);
  return sides.length > 1 && sides.every(isBlankItem);
}

/** The items with open edges, and with the blank lines that only set off markers made optional. */
export function withEdges(items: readonly EditItem[], original: Prepared, edgeCost = EDGE_COST): EditItem[] {
  const first = items.findIndex((item) => !isBlankItem(item));
  const last = items.findLastIndex((item) => !isBlankItem(item));
  const habitual = setsOffMarkers(items);
  const inner = items.slice(first, last + 1).map((item, at, all): EditItem => {
    if (item.kind === 'marker' || !isBlank(item.text)) return item;
    if (habitual && (all[at - 1]?.kind === 'marker' || all[at + 1]?.kind === 'marker')) return { ...item, optional: true };
    const before = all.slice(0, at).findLast((other) => !isBlankItem(other));
    const after = all.slice(at + 1).find((other) => !isBlankItem(other));
    const shown = before?.kind === 'marker' ? after : after?.kind === 'marker' ? before : undefined;
    return shown?.kind === 'line' && original.ids.has(shown.text.trimEnd()) ? { ...item, optional: true } : item;
  });
  const elisionCost = hasMarker(inner) ? edgeCost : 0;
  const isNew = (item: EditItem | undefined): boolean => item?.kind === 'line' && !original.ids.has(item.text.trimEnd());
  const [head, tail] = [inner[0], inner.at(-1)];
  const edge = (beside: EditItem | undefined): EditItem => ({
    kind: 'marker',
    implicit: true,
    elisionCost,
    indent: -1,
    closable: elisionCost > 0 && isNew(beside),
  });
  if (head?.kind !== 'marker') inner.unshift(edge(head));
  if (tail?.kind !== 'marker') inner.push(edge(tail));
  return inner;
}

/**
 * The edit's lines moved to where the original's stand, if it was written at another depth: the lines that the original
 * has at one and the same other depth say how far.
 */
export function atOriginalDepth(texts: readonly string[], original: Prepared): string[] {
  const byTrimmed = new Map<string, string | null>();
  for (const text of original.texts) {
    const trimmed = text.trim();
    if (weightOf(trimmed) !== 'plain') continue;
    byTrimmed.set(trimmed, byTrimmed.has(trimmed) && byTrimmed.get(trimmed) !== indentOf(text) ? null : indentOf(text));
  }
  const votes = new Map<string, number>();
  let voters = 0;
  let same = 0;
  for (const text of texts) {
    const trimmed = text.trim();
    if (original.ids.has(text.trimEnd()) && weightOf(trimmed) === 'plain') {
      same += 1;
      continue;
    }
    const there = byTrimmed.get(trimmed);
    if (there === undefined || there === null) continue;
    const here = indentOf(text);
    voters += 1;
    const vote = there.endsWith(here)
      ? `+${there.slice(0, there.length - here.length)}`
      : here.endsWith(there)
        ? `-${here.slice(0, here.length - there.length)}`
        : '?';
    votes.set(vote, (votes.get(vote) ?? 0) + 1);
  }
  if (same > 0) return [...texts];
  const [vote, count] = [...votes].toSorted((a, b) => b[1] - a[1])[0] ?? ['?', 0];
  if (vote === '?' || count * 5 < voters * 4) return [...texts];
  const shift = vote.slice(1);
  const common = commonIndent(texts);
  if (vote.startsWith('+')) return texts.map((text) => (isBlank(text) ? text : shift + text));
  return common.startsWith(shift) ? reindent(texts, shift, '') : [...texts];
}

/** Lines that are not blank which an edge of the file hides, at least, if it is neither shown nor marked. */
export const HIDDEN_MIN = 4;

/** Lines of the original times lines of the edit: what is walked through even where nothing is looked at. */
const PRODUCT_MAX = 3_000_000;

export interface LineMerge {
  /** All readings within the margin of the best, best first. */
  readonly readings: readonly Reading[];
  /** There were more than could be listed. */
  readonly crowded: boolean;
}

/** Reads `items` against lines `from … to - 1` of the original; null if there is no reading at all. */
export function mergeLines(
  original: Prepared,
  items: readonly EditItem[],
  range: { readonly from: number; readonly to: number } = { from: 0, to: original.texts.length },
): LineMerge | null {
  if (items.length * (range.to - range.from) > PRODUCT_MAX)
    throw new Refusal('too_large', 'the edit and the original have too many lines together');
  const edit = prepareItems(original, items, range.from, range.to);
  for (const bound of BOUNDS) {
    const { readings } = align(original, items, { ...range, bound, edit });
    const [best, second] = readings;
    const margin = best === undefined ? 0 : Math.min(MARGIN_MAX, Math.max(MARGIN, best.cost * RELATIVE_MARGIN));
    // A second one just past the bound would be missed.
    if (best === undefined || best.cost + margin > bound) continue;
    if (second === undefined || second.cost - best.cost >= margin) return { readings: [best], crowded: false };
    const wider = align(original, items, { ...range, edit, bound: best.cost + margin, kept: CLOSE_READINGS });
    const close = wider.readings.filter((reading) => reading.cost < best.cost + margin);
    return { readings: close, crowded: close.length === CLOSE_READINGS };
  }
  return null;
}

/**
 * Whether a text holds the edit as it stands: its shown lines in order, those between two markers together. Then the edit
 * is applied already. Blank lines beside markers do not count.
 */
export function embeds(texts: readonly string[], items: readonly EditItem[]): boolean {
  const trimmed = texts.map((text) => text.trimEnd());
  let at = 0;
  for (let start = 0; start < items.length;) {
    if (items[start]?.kind === 'marker') {
      start += 1;
      continue;
    }
    let end = start;
    while (end < items.length && items[end]?.kind === 'line') end += 1;
    const segment = trimBlank(items.slice(start, end));
    const opens = start === 0;
    const closes = end === items.length;
    let place = opens ? 0 : closes ? Math.max(at, trimmed.length - segment.length) : at;
    while (!segment.every((text, line) => trimmed[place + line] === text)) {
      place += 1;
      if (opens || closes || place + segment.length > trimmed.length) return false;
    }
    at = place + segment.length;
    start = end;
  }
  return true;
}

function trimBlank(items: readonly EditItem[]): string[] {
  const texts = items.map((item) => (item.kind === 'line' ? item.text.trimEnd() : ''));
  return texts.slice(
    texts.findIndex((text) => text !== ''),
    texts.findLastIndex((text) => text !== '') + 1,
  );
}
