/** A block of lines that stands in the file a second time. Line numbers are 1-based. */
export interface Duplicate {
  readonly firstLine: number;
  readonly againLine: number;
  /** Lines that count, blank ones and comments left out. */
  readonly lines: number;
}

/** Shorter repetitions are ordinary: imports, signatures, closing brackets. */
export const BLOCK_LINES_MIN = 6;
/** Lines of a block that must hold a word, so that a run of brackets is none. */
const WORDY_LINES_MIN = 3;
/** Earlier places compared with; keeps a file of one repeated line from costing its square. */
const CANDIDATES_MAX = 16;

/** Finds repeated blocks in text whose comments are blanked. Each line is counted in one later copy at most; copies do not overlap their original. */
export function findDuplicates(text: string): Duplicate[] {
  const lines = text
    .split('\n')
    .map((raw, index) => ({ text: raw.trim(), line: index + 1 }))
    .filter((line) => line.text !== '');
  const places = new Map<string, number[]>();
  const found: Duplicate[] = [];
  let indexed = 0;
  for (let at = 0; at + BLOCK_LINES_MIN <= lines.length;) {
    // Only blocks that end before this one are candidates.
    for (; indexed + BLOCK_LINES_MIN <= at; indexed++) remember(places, keyAt(lines, indexed), indexed);
    let best = { from: -1, length: 0 };
    for (const from of places.get(keyAt(lines, at)) ?? []) {
      const length = commonLength(lines, from, at);
      if (length > best.length) best = { from, length };
    }
    const block = lines.slice(at, at + best.length);
    if (best.length >= BLOCK_LINES_MIN && block.filter((line) => /\w/.test(line.text)).length >= WORDY_LINES_MIN) {
      found.push({ firstLine: lines[best.from]?.line ?? 0, againLine: lines[at]?.line ?? 0, lines: best.length });
      at += best.length;
    } else at++;
  }
  return found;
}

type Line = { readonly text: string; readonly line: number };

const keyAt = (lines: readonly Line[], at: number): string =>
  lines
    .slice(at, at + BLOCK_LINES_MIN)
    .map((line) => line.text)
    .join('\n');

function remember(places: Map<string, number[]>, key: string, at: number): void {
  const known = places.get(key);
  if (known === undefined) places.set(key, [at]);
  else if (known.length < CANDIDATES_MAX) known.push(at);
}

function commonLength(lines: readonly Line[], from: number, at: number): number {
  let length = 0;
  while (from + length < at && at + length < lines.length && lines[from + length]?.text === lines[at + length]?.text) length++;
  return length;
}
