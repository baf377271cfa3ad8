import { weightOf } from './align-lines.ts';
import { type Context, isFailure, lineAt, Refusal } from './context.ts';
import type { Outcome } from './outcome.ts';
import { exactPlaces, isDone, keepingEqual, type Place, shifted, shiftedPlaces, nearPlace } from './places.ts';
import { DIVIDER_LINE, REPLACE_LINE, SEARCH_LINE } from './style.ts';
import { isBlank, type OutLine, splitLines } from './text.ts';
import type { Candidate } from './types.ts';

interface Block {
  readonly search: readonly string[];
  readonly replace: readonly string[];
}

/** A block's place: lines `from … to - 1` of the original become `fresh`. */
interface Located {
  readonly from: number;
  readonly to: number;
  readonly fresh: readonly OutLine[];
}

export const BLOCKS_MAX = 200;

export function parseBlocks(texts: readonly string[]): Block[] {
  const blocks: Block[] = [];
  let search: string[] | null = null;
  let replace: string[] | null = null;
  for (const text of texts) {
    if (search === null) {
      if (SEARCH_LINE.test(text)) search = [];
    } else if (replace === null) {
      if (SEARCH_LINE.test(text) || REPLACE_LINE.test(text)) throw new Refusal('not_code', 'a SEARCH block without its divider');
      if (DIVIDER_LINE.test(text)) replace = [];
      else search.push(text);
    } else if (REPLACE_LINE.test(text)) {
      blocks.push({ search, replace });
      search = null;
      replace = null;
    } else if (SEARCH_LINE.test(text)) throw new Refusal('not_code', 'a SEARCH block without its end');
    else replace.push(text);
  }
  if (search !== null) throw new Refusal('not_code', 'a SEARCH block without its end');
  if (blocks.length === 0) throw new Refusal('not_code', 'the edit holds no SEARCH/REPLACE block');
  if (blocks.length > BLOCKS_MAX) throw new Refusal('too_large', `more than ${BLOCKS_MAX} blocks`);
  return blocks;
}

export function applySearchReplace(context: Context, edit: readonly string[]): Outcome {
  const blocks = parseBlocks(edit);
  const texts = context.lines.texts;
  if (context.source.trim() === '' && blocks.length === 1 && blocks[0]?.search.every(isBlank) === true) {
    return finish(context, blocks[0].replace);
  }
  const out = placeAll(context, texts, blocks);
  const outcome = finish(context, out);
  const again = splitLines(outcome.proved.output).texts;
  if (!isStable(() => placeAll(context, again, blocks))) {
    throw new Refusal('proof_failed', 'applied a second time, the edit would change the result again');
  }
  return outcome;
}

/** Whether placing gives the lines as they are, or has no place. */
export function isStable(place: () => readonly OutLine[]): boolean {
  try {
    return place().every((line, at) => line === at);
  } catch (error) {
    if (error instanceof Refusal) return true;
    throw error;
  }
}

function placeAll(context: Context, texts: readonly string[], blocks: readonly Block[]): OutLine[] {
  // Against the text as it is, all at once; only a block that follows on from another needs the text the others made.
  const located = blocks.map((block) => locate(texts, block));
  const found = located.filter((each): each is Located => each !== null);
  const sorted = found.toSorted((a, b) => a.from - b.from);
  const apart = sorted.every((each, at) => at === 0 || each.from >= (sorted[at - 1]?.to ?? 0));
  if (found.length === blocks.length && apart) return assembled(texts.length, sorted);
  if (blocks.length === 1) throw missing(context, blocks[0]);
  let current: OutLine[] = texts.map((_, line) => line);
  for (const block of blocks) {
    const now = current.map((line) => (typeof line === 'number' ? (texts[line] ?? '') : line));
    const each = locate(now, block);
    if (each === null) throw missing(context, block);
    const fresh = each.fresh.map((line) => (typeof line === 'number' ? (current[line] ?? '') : line));
    current = [...current.slice(0, each.from), ...fresh, ...current.slice(each.to)];
  }
  return current;
}

function finish(context: Context, out: readonly OutLine[]): Outcome {
  const proved = context.proveLines(out, 'explicit');
  if (isFailure(proved)) throw new Refusal(proved.reason, proved.detail);
  return { proved, engine: 'text' };
}

function assembled(count: number, located: readonly Located[]): OutLine[] {
  const out: OutLine[] = [];
  let next = 0;
  for (const { from, to, fresh } of located) {
    for (; next < from; next += 1) out.push(next);
    out.push(...fresh);
    next = to;
  }
  for (; next < count; next += 1) out.push(next);
  return out;
}

/** The one place of a block, by the strictest reading that has any; null if it has none. Refuses if it has several. */
function locate(texts: readonly string[], block: Block): Located | null {
  if (block.search.every(isBlank)) throw new Refusal('ambiguous', 'an empty SEARCH fits everywhere');
  for (const { search, replace } of [block, withoutBlankEdges(block)]) {
    for (const places of [exactPlaces(texts, search), shiftedPlaces(texts, search)]) {
      const [place] = places;
      if (place === undefined) continue;
      const done = places.filter((each) => isDone(texts, each.line, search, replace));
      if (places.length > 1 && done.length !== places.length) {
        throw new Refusal('ambiguous', `the SEARCH text stands in ${places.length} places`, candidates(texts, places));
      }
      // Read loosely it stands here; read as it is, it may stand in another place that has moved on by a line.
      const near = search === block.search && isUnshifted(place) ? null : nearPlace(texts, block.search, place.line);
      if (near !== null) {
        const others = [place, { ...place, line: near }];
        throw new Refusal('ambiguous', 'the SEARCH text stands here loosely, and nearly elsewhere', candidates(texts, others));
      }
      if (done.length > 0) return { from: place.line, to: place.line, fresh: [] };
      const fresh = shifted(replace, place.shift);
      if (fresh === null) continue;
      const to = place.line + search.length;
      return { from: place.line, to, fresh: keepingEqual(texts, place.line, to, fresh) };
    }
  }
  return withinLine(texts, block) ?? alreadyThere(texts, block);
}

const isUnshifted = ({ shift }: Place): boolean => shift.from === '' && shift.to === '';

/** Part of one line: the text must stand once in the whole file. */
function withinLine(texts: readonly string[], { search, replace }: Block): Located | null {
  if (search.length !== 1 || replace.length > 1) return null;
  const wanted = (search[0] ?? '').trim();
  const hits = texts.flatMap((text, line) => (text.includes(wanted) ? [line] : []));
  const [line] = hits;
  if (line === undefined) return null;
  const text = texts[line] ?? '';
  const at = text.indexOf(wanted);
  if (hits.length > 1 || text.includes(wanted, at + 1)) {
    throw new Refusal(
      'ambiguous',
      'the SEARCH text stands in several places',
      candidates(
        texts,
        hits.map((hit) => ({ line: hit, shift: { from: '', to: '' } })),
      ),
    );
  }
  const fresh = text.slice(0, at) + (replace[0] ?? '').trim() + text.slice(at + wanted.length);
  return { from: line, to: line + 1, fresh: [fresh] };
}

/** The SEARCH text is gone and the REPLACE text stands in one place: applied before. */
function alreadyThere(texts: readonly string[], { replace }: Block): Located | null {
  if (!replace.some((text) => weightOf(text) === 'plain')) return null;
  const places = exactPlaces(texts, replace);
  return places.length === 1 ? { from: places[0]?.line ?? 0, to: places[0]?.line ?? 0, fresh: [] } : null;
}

/** Both texts without the blank lines they begin and end with alike. */
function withoutBlankEdges({ search, replace }: Block): Block {
  let [searchStart, searchEnd, replaceStart, replaceEnd] = [0, search.length, 0, replace.length];
  while (searchStart < searchEnd && isBlank(search[searchStart] ?? '')) {
    searchStart += 1;
    if (replaceStart < replaceEnd && isBlank(replace[replaceStart] ?? '')) replaceStart += 1;
  }
  while (searchEnd > searchStart && isBlank(search[searchEnd - 1] ?? '')) {
    searchEnd -= 1;
    if (replaceEnd > replaceStart && isBlank(replace[replaceEnd - 1] ?? '')) replaceEnd -= 1;
  }
  return { search: search.slice(searchStart, searchEnd), replace: replace.slice(replaceStart, replaceEnd) };
}

const candidates = (texts: readonly string[], places: readonly Place[]): Candidate[] =>
  places.slice(0, 5).map(({ line }) => ({ line: line + 1, text: texts[line] ?? '' }));

/** Why a block has no place: nothing of it is there, or it was made for another version. */
function missing(context: Context, block: Block | undefined): Refusal {
  const plain = (block?.search ?? []).filter((text) => weightOf(text) === 'plain');
  const known = plain.filter((text) => context.source.includes(text.trim()));
  if (known.length * 2 < plain.length || known.length === 0)
    return new Refusal('not_found', 'the SEARCH text is not in the original');
  const line = lineAt(context.source, context.source.indexOf((known[0] ?? '').trim()));
  return new Refusal('stale', 'the original has only part of the SEARCH text', [{ line, text: (known[0] ?? '').trim() }]);
}
