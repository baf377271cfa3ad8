/** One run of a comparison: `count` lines that are in both texts, only in the old one, or only in the new one. */
export interface DiffRun {
  readonly kind: 'same' | 'removed' | 'added';
  /** First line in the old text (for `added`: where it would stand), from 0. */
  readonly oldLine: number;
  /** First line in the new text (for `removed`: where it would stand), from 0. */
  readonly newLine: number;
  readonly count: number;
}

/** How many comparisons of two lines one diff may cost. Two unlike texts of about 4,500 lines each stay below it. */
export const DIFF_STEPS_MAX = 20_000_000;

/**
 * The lines of a text, each with its line ending, so that joining them gives the text back: `\r\n` and a last line
 * without an ending are lines like any other.
 */
export function splitLines(text: string): readonly string[] {
  const lines: string[] = [];
  let start = 0;
  for (;;) {
    const end = text.indexOf('\n', start);
    if (end < 0) break;
    lines.push(text.slice(start, end + 1));
    start = end + 1;
  }
  if (start < text.length) lines.push(text.slice(start));
  return lines;
}

/**
 * A shortest list of removals and additions that turns `oldLines` into `newLines` (Myers' O(ND) in its linear-space form,
 * "An O(ND) Difference Algorithm and Its Variations", 1986, section 4b). Memory is linear in the number of lines; `null` when
 * it would need more than `stepsMax` steps.
 */
export function diffLines(
  oldLines: readonly string[],
  newLines: readonly string[],
  stepsMax = DIFF_STEPS_MAX,
): readonly DiffRun[] | null {
  const ids = new Map<string, number>();
  const intern = (line: string): number => {
    const known = ids.get(line);
    if (known !== undefined) return known;
    ids.set(line, ids.size);
    return ids.size - 1;
  };
  const oldIds = Int32Array.from(oldLines, intern);
  const newIds = Int32Array.from(newLines, intern);
  const comparison = new Comparison(oldIds, newIds, stepsMax);
  return comparison.run() ? runsOf(comparison.removed, comparison.added) : null;
}

/** The two sides as numbers, what was found of them, and what it has cost. */
class Comparison {
  readonly removed: Uint8Array;
  readonly added: Uint8Array;
  #stepsLeft: number;
  readonly #old: Int32Array;
  readonly #new: Int32Array;
  readonly #forward: Int32Array;
  readonly #backward: Int32Array;

  constructor(oldIds: Int32Array, newIds: Int32Array, stepsMax: number) {
    this.#old = oldIds;
    this.#new = newIds;
    this.#stepsLeft = stepsMax;
    this.removed = new Uint8Array(oldIds.length);
    this.added = new Uint8Array(newIds.length);
    // Diagonals run from -(n + m) to n + m, plus one neighbour on each side.
    const size = 2 * (oldIds.length + newIds.length) + 3;
    this.#forward = new Int32Array(size);
    this.#backward = new Int32Array(size);
  }

  /** Marks what was removed and added. False when the steps ran out. */
  run(): boolean {
    // A stack instead of recursion: how deep it goes depends on the input.
    const open: (readonly [number, number, number, number])[] = [[0, this.#old.length, 0, this.#new.length]];
    for (let box = open.pop(); box !== undefined; box = open.pop()) {
      let [oldStart, oldEnd, newStart, newEnd] = box;
      while (oldStart < oldEnd && newStart < newEnd && this.#old[oldStart] === this.#new[newStart]) {
        oldStart++;
        newStart++;
      }
      while (oldStart < oldEnd && newStart < newEnd && this.#old[oldEnd - 1] === this.#new[newEnd - 1]) {
        oldEnd--;
        newEnd--;
      }
      if (oldStart === oldEnd) this.added.fill(1, newStart, newEnd);
      else if (newStart === newEnd) this.removed.fill(1, oldStart, oldEnd);
      else {
        const middle = this.#middle(oldStart, oldEnd, newStart, newEnd);
        if (middle === null) return false;
        open.push([middle[0], oldEnd, middle[1], newEnd], [oldStart, middle[0], newStart, middle[1]]);
      }
    }
    return true;
  }

  /** A point on a shortest path, found from both ends at once; never a corner of the box, whose ends differ. */
  #middle(oldStart: number, oldEnd: number, newStart: number, newEnd: number): readonly [number, number] | null {
    const width = oldEnd - oldStart;
    const height = newEnd - newStart;
    const delta = width - height;
    const odd = (delta & 1) !== 0;
    const limit = Math.ceil((width + height) / 2);
    const origin = width + height + 1;
    const forward = this.#forward;
    const backward = this.#backward;
    forward[origin + 1] = 0;
    backward[origin + 1] = 0;
    for (let cost = 0; cost <= limit; cost++) {
      // Diagonals outside the box lead nowhere and could seem to meet.
      const lowest = -(cost - 2 * Math.max(0, cost - height));
      const highest = cost - 2 * Math.max(0, cost - width);
      for (let diagonal = lowest; diagonal <= highest; diagonal += 2) {
        let x = step(forward, origin + diagonal, diagonal === -cost, diagonal === cost);
        const from = x;
        while (x < width && x - diagonal < height && this.#old[oldStart + x] === this.#new[newStart + x - diagonal]) x++;
        this.#stepsLeft -= x - from + 1;
        forward[origin + diagonal] = x;
        const opposite = delta - diagonal;
        if (odd && Math.abs(opposite) < cost && x + (backward[origin + opposite] ?? 0) >= width) {
          return [oldStart + x, newStart + x - diagonal];
        }
      }
      for (let diagonal = lowest; diagonal <= highest; diagonal += 2) {
        let x = step(backward, origin + diagonal, diagonal === -cost, diagonal === cost);
        const from = x;
        while (x < width && x - diagonal < height && this.#old[oldEnd - 1 - x] === this.#new[newEnd - 1 - (x - diagonal)]) x++;
        this.#stepsLeft -= x - from + 1;
        backward[origin + diagonal] = x;
        const opposite = delta - diagonal;
        if (!odd && Math.abs(opposite) <= cost && x + (forward[origin + opposite] ?? 0) >= width) {
          return [oldEnd - x, newEnd - (x - diagonal)];
        }
      }
      if (this.#stepsLeft < 0) return null;
    }
    throw new Error('two searches that cover a box must meet');
  }
}

/** The farthest start on a diagonal: one down from the diagonal above, or one right from the one below. */
function step(reached: Int32Array, at: number, lowest: boolean, highest: boolean): number {
  const above = reached[at + 1] ?? 0;
  const below = reached[at - 1] ?? 0;
  return lowest || (!highest && below < above) ? above : below + 1;
}

function runsOf(removed: Uint8Array, added: Uint8Array): readonly DiffRun[] {
  const runs: DiffRun[] = [];
  let oldLine = 0;
  let newLine = 0;
  while (oldLine < removed.length || newLine < added.length) {
    const oldAt = oldLine;
    const newAt = newLine;
    while (oldLine < removed.length && removed[oldLine] === 1) oldLine++;
    if (oldLine > oldAt) runs.push({ kind: 'removed', oldLine: oldAt, newLine: newAt, count: oldLine - oldAt });
    while (newLine < added.length && added[newLine] === 1) newLine++;
    if (newLine > newAt) runs.push({ kind: 'added', oldLine, newLine: newAt, count: newLine - newAt });
    const sameOld = oldLine;
    const sameNew = newLine;
    while (oldLine < removed.length && newLine < added.length && removed[oldLine] === 0 && added[newLine] === 0) {
      oldLine++;
      newLine++;
    }
    if (oldLine > sameOld) runs.push({ kind: 'same', oldLine: sameOld, newLine: sameNew, count: oldLine - sameOld });
  }
  return runs;
}
