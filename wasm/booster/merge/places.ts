import { weightOf } from './align-lines.ts';
import { Refusal } from './context.ts';
import { indentOf, isBlank, type OutLine } from './text.ts';

/** Where a run of lines stands, and how much deeper the original's lines are there. */
export interface Place {
  /** Line of the original, from 0. */
  readonly line: number;
  readonly shift: Shift;
}

/** What must go from and come to the beginning of each line to bring the edit to the original's depth. */
export interface Shift {
  readonly from: string;
  readonly to: string;
}

const NO_SHIFT: Shift = { from: '', to: '' };

/** Equal lines that one search may come upon: a file of one line over and over has their square. */
const EQUAL_MAX = 1_000_000;

function countedUp(compared: number, by: number): number {
  if (compared + by > EQUAL_MAX) throw new Refusal('too_large', 'the same lines stand in too many places');
  return compared + by;
}

/** Every place where the lines stand as they are, but for spaces at their ends. */
export function exactPlaces(texts: readonly string[], wanted: readonly string[]): Place[] {
  const found: Place[] = [];
  if (wanted.length === 0) return found;
  const trimmed = wanted.map((text) => text.trimEnd());
  let compared = 0;
  for (let line = 0; line + wanted.length <= texts.length; line += 1) {
    let at = 0;
    while (at < trimmed.length && (texts[line + at] ?? '').trimEnd() === trimmed[at]) at += 1;
    if (at === trimmed.length) found.push({ line, shift: NO_SHIFT });
    compared = countedUp(compared, at);
  }
  return found;
}

/**
 * A place where all of the lines but one stand as they are, depth aside: the file may have moved on there. Null if there is
 * none apart from `taken`, or if so few lines are no evidence.
 */
export function nearPlace(texts: readonly string[], wanted: readonly string[], taken: number): number | null {
  const trimmed = wanted.map((text) => text.trim());
  if (trimmed.filter((text) => weightOf(text) === 'plain').length < NEAR_LINES_MIN) return null;
  let compared = 0;
  for (let line = 0; line + trimmed.length <= texts.length; line += 1) {
    if (Math.abs(line - taken) < trimmed.length) continue;
    let other = 0;
    let at = 0;
    for (; at < trimmed.length && other < 2; at += 1) if ((texts[line + at] ?? '').trim() !== trimmed[at]) other += 1;
    compared = countedUp(compared, at - other);
    if (other < 2) return line;
  }
  return null;
}

/** Telling lines of a block of which all but one can tell a place. */
const NEAR_LINES_MIN = 3;

/** Every place where they stand at another depth, all by the same. */
export function shiftedPlaces(texts: readonly string[], wanted: readonly string[]): Place[] {
  const found: Place[] = [];
  if (wanted.every(isBlank)) return found;
  const trimmed = wanted.map((text) => text.trim());
  let compared = 0;
  for (let line = 0; line + wanted.length <= texts.length; line += 1) {
    let at = 0;
    while (at < trimmed.length && (texts[line + at] ?? '').trim() === trimmed[at]) at += 1;
    compared = countedUp(compared, at);
    if (at < trimmed.length) continue;
    const shift = commonShift(texts.slice(line, line + wanted.length), wanted);
    if (shift !== null) found.push({ line, shift });
  }
  return found;
}

function commonShift(there: readonly string[], here: readonly string[]): Shift | null {
  let shift: Shift | null = null;
  for (const [at, text] of here.entries()) {
    if (isBlank(text)) continue;
    const [to, from] = [indentOf(there[at] ?? ''), indentOf(text)];
    const each = to.endsWith(from)
      ? { from: '', to: to.slice(0, to.length - from.length) }
      : from.endsWith(to)
        ? { from: from.slice(0, from.length - to.length), to: '' }
        : null;
    if (each === null || (shift !== null && (shift.from !== each.from || shift.to !== each.to))) return null;
    shift = each;
  }
  return shift;
}

/** The lines moved by a shift; null if one of them does not begin with what must go. */
export function shifted(texts: readonly string[], { from, to }: Shift): string[] | null {
  const moved: string[] = [];
  for (const text of texts) {
    if (isBlank(text)) moved.push(text);
    else if (text.startsWith(from)) moved.push(to + text.slice(from.length));
    else return null;
  }
  return moved;
}

/**
 * Whether what is to be put in place of `old` at a line stands there already, over it and round it: `a` to `a b` where `a b`
 * is. A blank line or a bracket more stands beside much, and proves nothing.
 */
export function isDone(texts: readonly string[], line: number, old: readonly string[], fresh: readonly string[]): boolean {
  if (fresh.length <= old.length) return false;
  const known = new Set(old.map((text) => text.trim()));
  if (!fresh.some((text) => weightOf(text) === 'plain' && !known.has(text.trim()))) return false;
  for (let at = line - (fresh.length - old.length); at <= line; at += 1) {
    if (at >= 0 && fresh.every((text, each) => (texts[at + each] ?? '').trim() === text.trim())) return true;
  }
  return false;
}

/** Lines that one comparison looks at; beyond, only equal ends are kept. */
const KEEP_MAX_CELLS = 250_000;

/**
 * New lines for a stretch of the original, with those it has already kept by number, so that their bytes stay. Equality
 * leaves out spaces at the end of a line.
 */
export function keepingEqual(texts: readonly string[], from: number, to: number, fresh: readonly string[]): OutLine[] {
  const out: OutLine[] = [...fresh];
  const same = (line: number, at: number): boolean => (texts[line] ?? '').trimEnd() === (fresh[at] ?? '').trimEnd();
  let head = 0;
  while (from + head < to && head < fresh.length && same(from + head, head)) {
    out[head] = from + head;
    head += 1;
  }
  let tail = 0;
  while (tail < to - from - head && tail < fresh.length - head && same(to - 1 - tail, fresh.length - 1 - tail)) {
    out[fresh.length - 1 - tail] = to - 1 - tail;
    tail += 1;
  }
  const rows = to - from - head - tail;
  const columns = fresh.length - head - tail;
  if (rows === 0 || columns === 0 || rows * columns > KEEP_MAX_CELLS) return out;
  const width = columns + 1;
  const longest = new Uint16Array((rows + 1) * width);
  for (let row = rows - 1; row >= 0; row -= 1) {
    for (let column = columns - 1; column >= 0; column -= 1) {
      longest[row * width + column] = same(from + head + row, head + column)
        ? (longest[(row + 1) * width + column + 1] ?? 0) + 1
        : Math.max(longest[(row + 1) * width + column] ?? 0, longest[row * width + column + 1] ?? 0);
    }
  }
  for (let row = 0, column = 0; row < rows && column < columns;) {
    if (same(from + head + row, head + column)) {
      out[head + column] = from + head + row;
      row += 1;
      column += 1;
    } else if ((longest[(row + 1) * width + column] ?? 0) >= (longest[row * width + column + 1] ?? 0)) row += 1;
    else column += 1;
  }
  return out;
}
