import { type Prepared } from './align-lines.ts';
import { DELETE, type PreparedItem, PRICES } from './align-prices.ts';
import { Refusal } from './context.ts';
import { DROP, ELIDE, NEW, type Reading, readingOf, SHOW, type Step, SUBSTITUTE } from './align-readings.ts';
import type { EditItem } from './edit-items.ts';

/**
 * Line alignment: the cheapest reading of a lazy edit. Every line of the edit is either a line of the original or new;
 * every line of the original is shown, elided by a marker, replaced, or deleted between two shown neighbours. All readings
 * are priced, the cheapest that give different outputs are kept, and what matters is the distance between them: an edit
 * whose second reading is nearly as good as its first is ambiguous, whatever the first looks like.
 *
 * Two readings with one output are one: only outputs are told apart, and by their lines that are not blank.
 */
export interface Alignment {
  readonly readings: readonly Reading[];
}

/** States that one alignment may look at. Edits of real commits took up to 1,250,000, a quarter of a second. */
const CELLS_MAX = 3_000_000;

const ANCHORED = 0;
/** Lines were deleted and no shown line has justified it yet. */
const DELETING = 1;
/** A marker came last: nothing shown yet that a deletion could lean on. */
const LOOSE = 2;
/** Within a marker, its own indent respected so far, or not. */
const CLEAN = 3;
const DIRTY = 4;
const MODES = 5;

/** Outputs kept for each state. With distinct ones kept, two suffice to know the best and the second of all. */
export const KEPT = 2;

interface Row {
  readonly cost: Float64Array;
  readonly hash: Int32Array;
  readonly path: Int32Array;
}

const newRow = (length: number, kept: number): Row => ({
  cost: new Float64Array(length * MODES * kept).fill(Infinity),
  hash: new Int32Array(length * MODES * kept),
  path: new Int32Array(length * MODES * kept),
});

/** Steps of all readings as one growing list of links; readings share their beginnings. */
class Paths {
  #previous = new Int32Array(4_096);
  #step = new Int32Array(4_096);
  #count = 1;

  add(previous: number, op: number, line: number): number {
    if (this.#count === this.#previous.length) {
      const previousGrown = new Int32Array(this.#count * 2);
      previousGrown.set(this.#previous);
      this.#previous = previousGrown;
      const stepGrown = new Int32Array(this.#count * 2);
      stepGrown.set(this.#step);
      this.#step = stepGrown;
    }
    this.#previous[this.#count] = previous;
    this.#step[this.#count] = line * 8 + op;
    return this.#count++;
  }

  /** The steps in order. */
  trace(path: number): Step[] {
    const steps: Step[] = [];
    for (let at = path; at !== 0; at = this.#previous[at] ?? 0) {
      const step = this.#step[at] ?? 0;
      steps.push({ op: step & 7, line: step >> 3 });
    }
    return steps.reverse();
  }
}

/**
 * The cheapest readings with different outputs, cheapest first, of `items` against the lines `from … to - 1`. What costs
 * more than `bound` is not looked at; an answer without readings says that there is none within it.
 */
export function align(
  original: Prepared,
  items: readonly EditItem[],
  options: {
    readonly from: number;
    readonly to: number;
    readonly bound: number;
    readonly kept?: number;
    /** `prepareItems` of the same items and lines. */
    readonly edit: readonly PreparedItem[];
  },
): Alignment {
  const { from, to, bound, edit } = options;
  const kept = options.kept ?? KEPT;
  const count = to - from;
  const paths = new Paths();
  let row = newRow(count + 1, kept);
  let nextRow = newRow(count + 1, kept);
  let cells = 0;

  const push = (target: Row, at: number, mode: number, cost: number, hash: number, path: () => number): void => {
    if (cost > bound) return;
    const base = (at * MODES + mode) * kept;
    let rank = 0;
    // Its place among the kept ones, or the end if an equal output is there for less.
    for (; rank < kept; rank += 1) {
      const held = target.cost[base + rank] ?? Infinity;
      if (cost < held) break;
      if (target.hash[base + rank] === hash && held !== Infinity) return;
    }
    if (rank === kept) return;
    // The same output at a higher price goes.
    let last = kept - 1;
    for (let other = rank; other < kept; other += 1) {
      if (target.hash[base + other] === hash && (target.cost[base + other] ?? Infinity) !== Infinity) {
        last = other;
        break;
      }
    }
    for (let other = last; other > rank; other -= 1) {
      target.cost[base + other] = target.cost[base + other - 1] ?? Infinity;
      target.hash[base + other] = target.hash[base + other - 1] ?? 0;
      target.path[base + other] = target.path[base + other - 1] ?? 0;
    }
    target.cost[base + rank] = cost;
    target.hash[base + rank] = hash;
    target.path[base + rank] = path();
  };

  const mixed = (hash: number, key: number): number => (Math.imul(hash, 0x01000193) ^ Math.imul(key + 1, 0x9e3779b1)) | 0;

  push(row, 0, LOOSE, 0, 17, () => 0);
  for (let item = 0; item < items.length; item += 1) {
    const current = edit[item];
    if (current === undefined) break;
    const spacer = items[item];
    const optional = spacer?.kind === 'line' && spacer.optional === true;
    nextRow.cost.fill(Infinity);
    if (cells > CELLS_MAX) throw new Refusal('too_large', 'the edit and the original have too many ways to be read together');
    for (let at = 0; at <= count; at += 1) {
      for (let mode = 0; mode < MODES; mode += 1) {
        for (let rank = 0; rank < kept; rank += 1) {
          const slot = (at * MODES + mode) * kept + rank;
          const cost = row.cost[slot] ?? Infinity;
          if (cost === Infinity) break;
          cells += 1;
          const hash = row.hash[slot] ?? 0;
          const path = row.path[slot] ?? 0;
          const line = from + at;
          const key = original.keys[line] ?? 0;
          const weight = original.weights[line] ?? 'blank';
          const keptHash = weight === 'blank' ? hash : mixed(hash, key);
          if (current.kind === 'marker') {
            if (mode < CLEAN) {
              if (mode !== DELETING) push(row, at, CLEAN, cost, hash, () => path);
              if (!current.closable) continue;
              if (item === 0 && at === 0) push(nextRow, 0, ANCHORED, cost, hash, () => path);
              if (item > 0 && at === count && mode === DELETING) push(nextRow, at, LOOSE, cost, hash, () => path);
              if (item > 0 && at < count && mode !== LOOSE) {
                push(row, at + 1, DELETING, cost + DELETE[weight] + (mode === DELETING ? 0 : PRICES.deleteOpen), hash, () =>
                  paths.add(path, DROP, at),
                );
              }
              continue;
            }
            push(nextRow, at, LOOSE, cost, hash, () => paths.add(path, ELIDE, at));
            if (at === count) continue;
            const clean =
              mode === CLEAN &&
              (weight === 'blank' || (current.elisionCost === 0 && (original.indents[line] ?? 0) >= current.indent));
            push(
              row,
              at + 1,
              clean ? CLEAN : DIRTY,
              mode === DIRTY || clean ? cost : cost + (current.elisionCost > 0 ? current.elisionCost : PRICES.dirtyElision),
              keptHash,
              () => path,
            );
            continue;
          }
          if (mode >= CLEAN) continue;
          const newHash = current.weight === 'blank' ? hash : mixed(hash, current.key);
          if (optional) push(nextRow, at, mode, cost, hash, () => path);
          push(nextRow, at, mode, cost + current.insertCost, newHash, () => paths.add(path, NEW, item));
          if (at === count) continue;
          if (key === current.key) {
            // A blank line is shown everywhere: it neither holds up a deletion nor begins one.
            push(nextRow, at + 1, weight === 'blank' ? mode : ANCHORED, cost, keptHash, () => paths.add(path, SHOW, item));
          } else {
            const substitution = current.substitutes?.get(at);
            if (substitution !== undefined) {
              push(nextRow, at + 1, mode, cost + substitution, newHash, () => paths.add(path, SUBSTITUTE, item));
            }
          }
          if (mode !== LOOSE) {
            push(row, at + 1, DELETING, cost + DELETE[weight] + (mode === DELETING ? 0 : PRICES.deleteOpen), hash, () =>
              paths.add(path, DROP, at),
            );
          }
        }
      }
    }
    [row, nextRow] = [nextRow, row];
  }

  const found: { cost: number; hash: number; path: number }[] = [];
  for (const mode of [ANCHORED, LOOSE]) {
    for (let rank = 0; rank < kept; rank += 1) {
      const slot = (count * MODES + mode) * kept + rank;
      const cost = row.cost[slot] ?? Infinity;
      if (cost !== Infinity) found.push({ cost, hash: row.hash[slot] ?? 0, path: row.path[slot] ?? 0 });
    }
  }
  found.sort((a, b) => a.cost - b.cost);
  const distinct = found
    .filter((reading, index) => found.findIndex((other) => other.hash === reading.hash) === index)
    .slice(0, kept);
  return {
    readings: distinct.map(({ cost, path }) => readingOf(original, items, { cost, steps: paths.trace(path), from, to })),
  };
}
