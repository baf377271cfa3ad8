import { type Prepared, similarity, tokensOf, weightOf } from './align-lines.ts';
import type { Reading } from './align-readings.ts';
import { type EditItem, textOf } from './edit-items.ts';
import { isBlank, type OutLine } from './text.ts';

/** From here on a new line beside a marker may be the new version of a hidden one. */
const ALIKE_MIN = 0.8;

/** Places that are looked at for each edge of each stretch, the nearest first. */
const PLACES_MAX = 3;

/** Of a whole edit. */
const RIVALS_MAX = 12;

/**
 * What an edit may mean instead, where the lines beside a marker stand more than once. The price of a reading says how much
 * it changes; it does not say that a place is the only one. So, for each stretch of shown lines and each marker beside it:
 *
 * - a stretch that changes something, and whose outermost lines stand elsewhere in what the marker hides, in as many lines
 *   or more: the change may belong there;
 * - a stretch that changes nothing, and whose outermost lines stand there, too: why was it shown, if not since what is
 *   between the two places goes?
 * - a new line beside a marker that is nearly a hidden one.
 *
 * Each of them is answered as the lines of an output; which of them hold the proofs is for the caller to see.
 */
export function rivalsOf(original: Prepared, items: readonly EditItem[], reading: Reading): OutLine[][] {
  const found: OutLine[][] = [];
  const ahead = viewOf(original, items, reading);
  const kept = keptOf(original, reading.out);
  for (const view of [ahead, mirrored(ahead)]) {
    for (const { out, isBetter } of new Edges(original, view).rivals()) {
      const rival = view.isMirrored ? flip(out, view.count) : out;
      if (found.length >= RIVALS_MAX) return found;
      if (isBetter || keptOf(original, rival) >= kept || takesMoved(original, reading.out, rival)) found.push(rival);
    }
  }
  return found;
}

/** Lines of the original that are not blank and stay. */
const keptOf = ({ weights }: Prepared, out: readonly OutLine[]): number =>
  out.filter((line) => typeof line === 'number' && weights[line] !== 'blank').length;

/** Whether a telling line that a rival takes away is shown as new by the reading: then it may have moved there. */
function takesMoved({ texts }: Prepared, reading: readonly OutLine[], rival: readonly OutLine[]): boolean {
  const stays = new Set(rival);
  const fresh = new Set(reading.flatMap((line) => (typeof line === 'string' ? [line.trim()] : [])));
  return reading.some((line) => {
    if (typeof line !== 'number' || stays.has(line)) return false;
    const text = texts[line]?.trim() ?? '';
    return weightOf(text) === 'plain' && fresh.has(text);
  });
}

interface Rival {
  readonly out: OutLine[];
  /** More of the edit stands there as it is shown; else it must not take more away. */
  readonly isBetter: boolean;
}

interface Shown {
  readonly text: string;
  /** Its place in `out`. */
  readonly place: number;
  readonly isNew: boolean;
}

/** A reading, forwards or backwards: the edges of a stretch are the same from both sides. */
interface View {
  readonly isMirrored: boolean;
  /** Lines of the original. */
  readonly count: number;
  readonly out: readonly OutLine[];
  /** The stretches of shown lines that are not blank. */
  readonly segments: readonly (readonly Shown[])[];
}

function viewOf(original: Prepared, items: readonly EditItem[], { out, places, fresh }: Reading): View {
  const segments: Shown[][] = [];
  let open = true;
  for (const [at, item] of items.entries()) {
    const place = places[at] ?? -1;
    if (item.kind === 'marker') open = true;
    else if (!isBlank(item.text) && place >= 0) {
      if (open) segments.push([]);
      open = false;
      segments.at(-1)?.push({ text: textOf(item).trimEnd(), place, isNew: fresh.has(at) });
    }
  }
  return { isMirrored: false, count: original.texts.length, out, segments };
}

function mirrored({ count, out, segments }: View): View {
  return {
    isMirrored: true,
    count,
    out: flip(out, count),
    segments: segments
      .map((segment) => segment.map((shown) => ({ ...shown, place: out.length - 1 - shown.place })).toReversed())
      .toReversed(),
  };
}

const flip = (out: readonly OutLine[], count: number): OutLine[] =>
  out.map((line) => (typeof line === 'number' ? count - 1 - line : line)).toReversed();

class Edges {
  readonly #original: Prepared;
  readonly #view: View;

  constructor(original: Prepared, view: View) {
    this.#original = original;
    this.#view = view;
  }

  rivals(): Rival[] {
    return this.#view.segments.flatMap((_, at) => this.#ofSegment(at));
  }

  #at(line: number): number {
    return this.#view.isMirrored ? this.#view.count - 1 - line : line;
  }

  #key(line: number): number {
    return this.#original.keys[this.#at(line)] ?? -1;
  }

  #text(line: number): string {
    return this.#original.texts[this.#at(line)] ?? '';
  }

  #next(line: number): number {
    let next = line + 1;
    while (next < this.#view.count && this.#original.weights[this.#at(next)] === 'blank') next += 1;
    return next;
  }

  /** How many lines of the stretch stand together from a line of the original on. */
  #run(segment: readonly Shown[], from: number, end = this.#view.count): number {
    let line = from;
    let run = 0;
    while (run < segment.length && line < end) {
      if (this.#key(line) !== this.#original.ids.get(segment[run]?.text ?? '')) break;
      run += 1;
      line = this.#next(line);
    }
    return run;
  }

  #lineOf(shown: Shown | undefined): number {
    const line = this.#view.out[shown?.place ?? -1];
    return typeof line === 'number' ? line : -1;
  }

  /** Whether a stretch stands in the original as it is shown. */
  #isPure(segment: readonly Shown[]): boolean {
    const first = this.#lineOf(segment[0]);
    return first >= 0 && this.#run(segment, first) === segment.length;
  }

  /**
   * Whether the stretches before one, down to `fixed`, can stand before a line. They change nothing, so that it does not
   * matter where.
   */
  #canPrecede(line: number, at: number, fixed: number): boolean {
    let bound = line;
    for (let each = at - 1; each > fixed; each -= 1) {
      const segment = this.#view.segments[each] ?? [];
      if (this.#lineOf(segment.at(-1)) < bound) return true;
      const key = this.#original.ids.get(segment[0]?.text ?? '');
      let start = bound - 1;
      while (start >= 0 && (this.#key(start) !== key || this.#run(segment, start, bound) < segment.length)) start -= 1;
      if (start < 0) return false;
      bound = start;
    }
    return bound > this.#lineOf(this.#view.segments[fixed]?.findLast((shown) => this.#lineOf(shown) >= 0));
  }

  #ofSegment(at: number): Rival[] {
    const { out, segments } = this.#view;
    const segment = segments[at] ?? [];
    const first = segment[0];
    if (first === undefined) return [];
    let fixed = at - 1;
    while (fixed >= 0 && this.#isPure(segments[fixed] ?? [])) fixed -= 1;
    const before = segments[fixed]?.at(-1)?.place ?? -1;
    const beside = segments[at - 1]?.at(-1)?.place ?? -1;
    const numbers = (from: number): number[] =>
      out.slice(from, first.place).filter((line): line is number => typeof line === 'number');
    const hidden = numbers(beside + 1);
    const low = numbers(before + 1)[0];
    if (hidden.length === 0 || low === undefined) return [];
    const here = this.#lineOf(first);
    const run = here < 0 ? 0 : this.#run(segment, here);
    const isPure = run === segment.length;
    const shownLines = segment.map((shown) => this.#lineOf(shown)).filter((line) => line >= 0);
    const end = isPure ? here : (shownLines.at(-1) ?? (hidden.at(-1) ?? -1) + 1);
    // `try {` and `return;` stand everywhere.
    const isFaint = segment.every((shown) => this.#lineOf(shown) < 0 || weightOf(shown.text) !== 'plain');
    const found: { readonly at: number; readonly run: number }[] = [];
    const key = this.#original.ids.get(first.text);
    for (let line = low; line < end; line += 1) {
      if (line === here || this.#key(line) !== key) continue;
      const there = this.#run(segment, line);
      if (there < (isPure ? 1 : run) || (isPure && there === run)) continue;
      if (!segment.slice(0, there).some(({ text }) => /[\p{L}\p{N}]/u.test(text))) continue;
      if (this.#canPrecede(line, at, fixed)) found.push({ at: line, run: there });
    }
    if (run === 0 && first.isNew && weightOf(first.text) === 'plain') {
      const own = tokensOf(first.text);
      for (const line of hidden) {
        if (similarity(own, tokensOf(this.#text(line))) >= ALIKE_MIN) found.push({ at: line, run: 0 });
      }
    }
    const near = here >= 0 ? here : end;
    return found
      .toSorted((a, b) => Math.abs(a.at - near) - Math.abs(b.at - near))
      .slice(0, PLACES_MAX)
      .map((place) => ({
        out: this.#moved(segment, before, place),
        isBetter: isPure || place.run > run || run === 0 || isFaint,
      }));
  }

  /** The output with the beginning of the stretch at another place. */
  #moved(segment: readonly Shown[], before: number, { at, run }: { readonly at: number; readonly run: number }): OutLine[] {
    const { out } = this.#view;
    const [first, last] = [segment[0]?.place ?? 0, segment.at(-1)?.place ?? 0];
    const rival: OutLine[] = out.slice(0, before + 1);
    // What was hidden before it, or stands there now.
    const hidden = out[before + 1];
    for (let line = typeof hidden === 'number' ? hidden : at; line < at; line += 1) rival.push(line);
    let next = at;
    for (let shown = 0; shown < run; shown += 1) {
      const after = this.#next(next);
      for (; next < after; next += 1) rival.push(next);
    }
    if (run === 0) next = at + 1;
    const rest = run === 0 ? first : (segment[run]?.place ?? last + 1);
    let isTied = false;
    for (let place = rest; place <= last; place += 1) {
      const line = out[place] ?? '';
      if (typeof line === 'number' && line >= next) {
        rival.push(line);
        isTied = true;
      } else rival.push(typeof line === 'number' ? this.#text(line) : line);
    }
    const tail = out.slice(last + 1);
    const resume = tail.find((line) => typeof line === 'number');
    // Nothing shown stands behind it: what comes next there is hidden.
    if (!isTied && typeof resume === 'number') for (; next < resume; next += 1) rival.push(next);
    return [...rival, ...tail.filter((line) => typeof line !== 'number' || line >= next || isTied)];
  }
}
