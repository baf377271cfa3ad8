import { type Prepared, similarity, tokensOf, weightOf } from './align-lines.ts';
import { ALIKE_MIN } from './align-prices.ts';
import { type EditItem, isOpenEdge, textOf } from './edit-items.ts';
import { indentWidth, isBlank, type OutLine } from './text.ts';

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
  /** Items that are new lines. */
  readonly fresh: ReadonlySet<number>;
  /** Items matched exactly, weighted by how much such a line says. */
  readonly evidence: number;
}

const EVIDENCE = { blank: 0, faint: 0.25, plain: 1 } as const;

/** What is done with a line. */
export const SHOW = 1;
export const SUBSTITUTE = 2;
export const NEW = 3;
export const DROP = 4;
export const ELIDE = 5;

export interface Step {
  readonly op: number;
  /** The item, or the line of the original for what is dropped or elided. */
  readonly line: number;
}

/** What a way through the lines comes to. */
export function readingOf(
  original: Prepared,
  items: readonly EditItem[],
  way: { readonly cost: number; readonly steps: readonly Step[]; readonly from: number; readonly to: number },
): Reading {
  const { cost, steps, from, to } = way;
  const out: OutLine[] = [];
  for (let line = 0; line < from; line += 1) out.push(line);
  let at = 0;
  let evidence = 0;
  let hiddenBefore = 0;
  let hiddenAfter = 0;
  const fresh = new Set<number>();
  const places = new Int32Array(items.length).fill(-1);
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
      fresh.add(line);
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
    fresh,
    evidence,
    hiddenBefore,
    hiddenAfter,
    cutBefore: cutAt(steps, original, items, from, false),
    cutAfter: cutAt(steps.toReversed(), original, items, from, false),
    faintCutAfter: cutAt(steps.toReversed(), original, items, from, true),
    loose: looseOf(steps, items, places),
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
