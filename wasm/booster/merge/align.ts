import { indentWidth, isBlank, type OutLine } from './text.ts';

/**
 * Line alignment: the cheapest reading of a lazy edit. Every line of the edit is either a line of the original or new;
 * every line of the original is shown, elided by a marker, replaced, or deleted between two shown neighbours. All readings
 * are priced, the cheapest that give different outputs are kept, and what matters is the distance between them: an edit
 * whose second reading is nearly as good as its first is ambiguous, whatever the first looks like.
 *
 * Two readings with one output are one: only outputs are told apart, and by their lines that are not blank.
 */
export type EditItem =
  | {
      readonly kind: 'line';
      readonly text: string;
      /** A blank line that only sets off a marker: it may be left out. */
      readonly optional?: boolean;
      /** Its place among the items of the edit as it was written, from 0. */
      readonly row?: number;
    }
  | {
      readonly kind: 'marker';
      /** Not written by the edit: the open edges of a snippet. */
      readonly implicit: boolean;
      /** What the elision costs once it takes a line that is not blank. */
      readonly elisionCost: number;
      /** An open edge that may as well be a true one, where the edit's outermost line is new: it may replace what is there. */
      readonly closable?: boolean;
      /** Width of the marker's own indent; lines left of it are unlikely to be meant. -1: says nothing. */
      readonly indent: number;
      /** As it is written. */
      readonly text?: string;
    };

export interface Reading {
  readonly cost: number;
  /** Lines that are not blank behind the open edges, which no marker stands for. */
  readonly hiddenBefore: number;
  readonly hiddenAfter: number;
  /** Lines that are not blank which go at an open edge: the edit ends, or begins, with new ones in their place. */
  readonly cutBefore: number;
  readonly cutAfter: number;
  /** The same as `cutAfter` if brackets alone, shown behind what goes, do not tell a place. */
  readonly faintCutAfter: number;
  /**
   * Stretches of `out` that are new and end, or begin, at a marker without a telling line of the original between: the edit
   * shows only their other side.
   */
  readonly loose: readonly Loose[];
  readonly out: readonly OutLine[];
  /** The line of `out` that each item became; -1 for markers and for blank lines left out. */
  readonly places: Int32Array;
  /** Items matched exactly, weighted by how much such a line says. */
  readonly evidence: number;
}

const PRICES = {
  /** Added for a new line that stands word for word elsewhere in the original. Copies are common. */
  duplicateInsert: 0.3,
  /**
   * The same beside a marker, where an edit shows where it is, not what is new: such a line is the one of the original. Six
   * times that if the original has it once, twice if it has it two or three times.
   */
  knownAtMarker: 6,
  faintAtMarker: 2,
  /** For brackets between two markers with nothing new: they close what is elided. */
  insertAmongShown: 4,
  /** For a line that stands elsewhere in the original to be the new version of another: an original that moved on. */
  knownSubstitute: 2,
  deleteOpen: 0.8,
  /** For an elision that takes lines left of its marker. */
  dirtyElision: 0.8,
} as const;

const INSERT = { blank: 0.05, faint: 0.3, plain: 0.6 } as const;
const DELETE = { blank: 0.05, faint: 0.15, plain: 0.35 } as const;
const EVIDENCE = { blank: 0, faint: 0.25, plain: 1 } as const;

type Weight = keyof typeof INSERT;

/** Lines that stand everywhere: brackets, `else {`, `return;`, `try {`, `end`, the end of a comment. */
const FAINT =
  /^(?:[\s{}()[\];,:*/]*|(?:\}?\s*(?:else|try|finally|do|break|continue|return|pass|end|fi|done|default|begin|loop)\b[\s{}();:]*))$/;

export const weightOf = (text: string): Weight => (isBlank(text) ? 'blank' : FAINT.test(text.trim()) ? 'faint' : 'plain');

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

const SHOW = 1;
const SUBSTITUTE = 2;
const NEW = 3;
const DROP = 4;
const ELIDE = 5;

export interface Alignment {
  readonly readings: readonly Reading[];
  /** Cells looked at; the caller bounds it. */
  readonly cells: number;
}

/** Cells (lines of the original times lines of the edit) that one alignment may take. */
export const ALIGN_MAX_CELLS = 3_000_000;

const SIMILAR_MIN = 0.5;

/** From here on a changed line tells its place nearly as well as one that is the same. */
const ALIKE_MIN = 0.7;

export const tokensOf = (text: string): string[] => text.match(/[\p{L}\p{N}_$]+|[^\s\p{L}\p{N}_$]/gu) ?? [];

/** Share of tokens two lines have in common, 0 … 1. */
export function similarity(a: readonly string[], b: readonly string[]): number {
  if (a.length === 0 || b.length === 0) return 0;
  const counts = new Map<string, number>();
  for (const token of a) counts.set(token, (counts.get(token) ?? 0) + 1);
  let common = 0;
  for (const token of b) {
    const left = counts.get(token) ?? 0;
    if (left > 0) {
      common += 1;
      counts.set(token, left - 1);
    }
  }
  return (2 * common) / (a.length + b.length);
}

/** The lines of the original, prepared once for all alignments against it. */
export interface Prepared {
  readonly texts: readonly string[];
  readonly keys: Int32Array;
  readonly weights: readonly Weight[];
  readonly indents: Int32Array;
  readonly ids: Map<string, number>;
  readonly counts: readonly number[];
}

export function prepare(texts: readonly string[]): Prepared {
  const ids = new Map<string, number>();
  const counts: number[] = [];
  const keys = new Int32Array(texts.length);
  const indents = new Int32Array(texts.length);
  const weights: Weight[] = [];
  for (const [index, text] of texts.entries()) {
    const line = text.trimEnd();
    let id = ids.get(line);
    if (id === undefined) {
      id = ids.size + 1;
      ids.set(line, id);
    }
    keys[index] = id;
    counts[id] = (counts[id] ?? 0) + 1;
    weights.push(weightOf(line));
    indents[index] = indentWidth(line);
  }
  return { texts, keys, weights, indents, ids, counts };
}

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

interface Step {
  readonly op: number;
  /** The item, or the line of the original for what is dropped or elided. */
  readonly line: number;
}

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
  },
): Alignment {
  const { from, to, bound } = options;
  const kept = options.kept ?? KEPT;
  const count = to - from;
  const paths = new Paths();
  const edit = prepareItems(original, items, from, to);
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
    cells,
    readings: distinct.map(({ cost, path }) => {
      const out: OutLine[] = [];
      for (let line = 0; line < from; line += 1) out.push(line);
      let at = 0;
      let evidence = 0;
      let hiddenBefore = 0;
      let hiddenAfter = 0;
      const places = new Int32Array(items.length).fill(-1);
      const steps = paths.trace(path);
      for (const [index, { op, line }] of steps.entries()) {
        if (op === ELIDE) {
          for (; at < line; at += 1) {
            out.push(from + at);
            if (original.weights[from + at] === 'blank') continue;
            if (index === 0 && isOpenEdge(items[0])) hiddenBefore += 1;
            else if (index === steps.length - 1 && isOpenEdge(items.at(-1))) hiddenAfter += 1;
          }
        } else if (op === SHOW) {
          evidence += EVIDENCE[original.weights[from + at] ?? 'blank'];
          places[line] = out.length;
          out.push(from + at);
          at += 1;
        } else if (op === DROP) at = line + 1;
        else if (op === SUBSTITUTE) {
          const alike = similarity(tokensOf(textOf(items[line])), tokensOf(original.texts[from + at] ?? ''));
          if (alike >= ALIKE_MIN) evidence += EVIDENCE.plain;
          places[line] = out.length;
          out.push(textOf(items[line]));
          at += 1;
        } else {
          places[line] = out.length;
          out.push(textOf(items[line]));
          // A block of new lines ends here: what follows it in the original, and what came before it?
          if (steps[index + 1]?.op === NEW) continue;
          let first = index;
          while (steps[first - 1]?.op === NEW) first -= 1;
          const after = steps[index + 1]?.op === ELIDE;
          const before = steps[first - 1]?.op === ELIDE;
          if (after === before) continue;
          const block = steps.slice(first, index + 1).map((step) => textOf(items[step.line]));
          if (spaceOut(original, out, block, from + at, after) && before) {
            for (let each = first; each <= index; each += 1)
              places[steps[each]?.line ?? 0] = (places[steps[each]?.line ?? 0] ?? 0) + 1;
          }
        }
      }
      for (let line = to; line < original.texts.length; line += 1) out.push(line);
      return {
        cost,
        out,
        places,
        evidence,
        hiddenBefore,
        hiddenAfter,
        cutBefore: cutAt(steps, original, items, from, false),
        cutAfter: cutAt(steps.toReversed(), original, items, from, false),
        faintCutAfter: cutAt(steps.toReversed(), original, items, from, true),
        loose: looseOf(steps, items, places),
      };
    }),
  };
}

/** Lines that go before, seen from one end, any line of the original is shown. */
function cutAt(steps: readonly Step[], original: Prepared, items: readonly EditItem[], from: number, pastFaint: boolean): number {
  let cut = 0;
  for (const [at, { op, line }] of steps.entries()) {
    if (op === DROP) cut += original.weights[from + line] === 'blank' ? 0 : 1;
    else if (op === SUBSTITUTE || (op === ELIDE && at > 0)) break;
    else if (op === SHOW) {
      const weight = weightOf(textOf(items[line]));
      if (weight === 'plain' || (weight === 'faint' && !pastFaint)) break;
    }
  }
  return cut;
}

/** See `Reading.loose`. Lines of the output, `from … to - 1`, and which side has no anchor. */
export interface Loose {
  readonly from: number;
  readonly to: number;
  readonly side: 'before' | 'after';
}

function looseOf(steps: readonly Step[], items: readonly EditItem[], places: Int32Array): Loose[] {
  const found: Loose[] = [];
  const telling = (step: Step | undefined): boolean => step?.op === SHOW && weightOf(textOf(items[step.line])) === 'plain';
  for (let start = 0; start < steps.length; start += 1) {
    if (steps[start]?.op !== NEW) continue;
    let end = start;
    while (steps[end + 1]?.op === NEW) end += 1;
    const from = places[steps[start]?.line ?? 0] ?? 0;
    const to = (places[steps[end]?.line ?? 0] ?? 0) + 1;
    for (const [first, step, side] of [
      [end + 1, 1, 'after'],
      [start - 1, -1, 'before'],
    ] as const) {
      let at = first;
      while (steps[at] !== undefined && steps[at]?.op !== ELIDE && !telling(steps[at]) && steps[at]?.op !== SUBSTITUTE)
        at += step;
      if (steps[at]?.op === ELIDE) found.push({ from, to, side });
    }
    start = end;
  }
  return found;
}

const isOpenEdge = (item: EditItem | undefined): boolean => item?.kind === 'marker' && item.implicit;

const textOf = (item: EditItem | undefined): string => (item?.kind === 'line' ? item.text : '');

/**
 * A block put between two parts that a blank line sets apart needs one on both sides, and the edit shows only one: the
 * other is behind the marker. Which of the two is new cannot be told from the lines, so the reading took the shown one for
 * the old one, and now there is none on the marker's side.
 */
function spaceOut(original: Prepared, out: OutLine[], block: readonly string[], next: number, markerAfter: boolean): boolean {
  if (block.filter((text) => !isBlank(text)).length < 2 || isBlank(block[0] ?? '') || isBlank(block.at(-1) ?? '')) return false;
  // Statements in a row stand together with what they were put to; a definition has a body.
  if (!block.some((text) => !isBlank(text) && indentWidth(text) > indentWidth(block[0] ?? ''))) return false;
  const blankBefore = original.weights[next - 1] === 'blank';
  const blankAfter = original.weights[next] === 'blank';
  const edge = next <= 0 || next >= original.texts.length;
  if (edge || blankBefore === blankAfter) return false;
  if (markerAfter && blankBefore) out.push('');
  else if (!markerAfter && blankAfter) out.splice(out.length - block.length, 0, '');
  else return false;
  return true;
}

/** Whether only blank lines stand between an item and a marker. */
function besideMarker(items: readonly EditItem[], place: number): boolean {
  for (const step of [-1, 1]) {
    let at = place + step;
    while (items[at]?.kind === 'line' && isBlank(textOf(items[at]))) at += step;
    if (items[at]?.kind === 'marker') return true;
  }
  return false;
}

type PreparedItem =
  | { readonly kind: 'marker'; readonly elisionCost: number; readonly indent: number; readonly closable: boolean }
  | {
      readonly kind: 'line';
      readonly key: number;
      readonly weight: Weight;
      readonly insertCost: number;
      /** Lines (from the first aligned one) this line may be a new version of, and at what price. */
      readonly substitutes: Map<number, number> | null;
    };

function prepareItems(original: Prepared, items: readonly EditItem[], from: number, to: number): PreparedItem[] {
  const fresh = new Map<string, number>();
  const tokens = new Map<number, string[]>();
  const shown = new Set<number>();
  for (const item of items) {
    if (item.kind === 'line') shown.add(original.ids.get(item.text.trimEnd()) ?? 0);
  }
  const onlyShown = new Set<EditItem>();
  for (let start = 0; start < items.length; start += 1) {
    let end = start;
    while (end < items.length && items[end]?.kind === 'line') end += 1;
    const segment = items.slice(start, end);
    const all = segment.every((item) => isBlank(textOf(item)) || original.ids.has(textOf(item).trimEnd()));
    if (all) for (const item of segment) onlyShown.add(item);
    start = end;
  }
  return items.map((item, place) => {
    if (item.kind === 'marker') {
      return { kind: 'marker', elisionCost: item.elisionCost, indent: item.indent, closable: item.closable === true };
    }
    const line = item.text.trimEnd();
    const weight = weightOf(line);
    const known = original.ids.get(line);
    let key = known ?? fresh.get(line);
    if (key === undefined) {
      key = original.ids.size + fresh.size + 1;
      fresh.set(line, key);
    }
    let insertCost: number = INSERT[weight];
    if (known !== undefined && weight !== 'blank') {
      const times = original.counts[known] ?? 0;
      if (besideMarker(items, place)) {
        if (weight === 'faint') insertCost += onlyShown.has(item) ? PRICES.insertAmongShown : PRICES.faintAtMarker;
        else insertCost += times === 1 ? PRICES.knownAtMarker * 6 : times < 4 ? PRICES.knownAtMarker * 2 : PRICES.knownAtMarker;
      } else insertCost += weight === 'plain' && times <= 2 ? PRICES.duplicateInsert : 0.1;
    }
    let substitutes: Map<number, number> | null = null;
    if (weight === 'plain') {
      const own = tokensOf(line);
      for (let index = from; index < to; index += 1) {
        // A line that the edit shows elsewhere has its own place.
        if (original.weights[index] !== 'plain' || shown.has(original.keys[index] ?? 0)) continue;
        let other = tokens.get(index);
        if (other === undefined) {
          other = tokensOf(original.texts[index] ?? '');
          tokens.set(index, other);
        }
        if (Math.abs(other.length - own.length) > own.length) continue;
        const similar = similarity(own, other);
        if (similar < (known === undefined ? SIMILAR_MIN : ALIKE_MIN)) continue;
        substitutes ??= new Map();
        substitutes.set(index - from, (1 - similar) * 1.2 + (known === undefined ? 0.1 : PRICES.knownSubstitute));
      }
    }
    return { kind: 'line', key, weight, insertCost, substitutes };
  });
}
