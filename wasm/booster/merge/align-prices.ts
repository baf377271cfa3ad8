import { type Prepared, similarity, tokensOf, type Weight, weightOf } from './align-lines.ts';
import { Refusal } from './context.ts';
import { type EditItem, textOf } from './edit-items.ts';
import { isBlank } from './text.ts';

export const PRICES = {
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
export const DELETE = { blank: 0.05, faint: 0.15, plain: 0.35 } as const;

const SIMILAR_MIN = 0.5;

/** Pairs of lines that are compared word by word, some 3 µs each. */
const PAIRS_MAX = 300_000;

/** From here on a changed line tells its place nearly as well as one that is the same. */
export const ALIKE_MIN = 0.7;

/** Whether only blank lines stand between an item and a marker. */
export function besideMarker(items: readonly EditItem[], place: number): boolean {
  for (const step of [-1, 1]) {
    let at = place + step;
    while (items[at]?.kind === 'line' && isBlank(textOf(items[at]))) at += step;
    if (items[at]?.kind === 'marker') return true;
  }
  return false;
}

export type PreparedItem =
  | { readonly kind: 'marker'; readonly elisionCost: number; readonly indent: number; readonly closable: boolean }
  | {
      readonly kind: 'line';
      readonly key: number;
      readonly weight: Weight;
      readonly insertCost: number;
      /** Lines (from the first aligned one) this line may be a new version of, and at what price. */
      readonly substitutes: Map<number, number> | null;
    };

/** The items with what each costs where. */
export function prepareItems(original: Prepared, items: readonly EditItem[], from: number, to: number): PreparedItem[] {
  const fresh = new Map<string, number>();
  const tokens = new Map<number, string[]>();
  const shown = new Set<number>();
  for (const item of items) {
    if (item.kind === 'line') shown.add(original.ids.get(item.text.trimEnd()) ?? 0);
  }
  let pairs = 0;
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
        if (2 * Math.min(own.length, other.length) < (own.length + other.length) * SIMILAR_MIN) continue;
        pairs += 1;
        if (pairs > PAIRS_MAX) throw new Refusal('too_large', 'the edit has too many new lines for the original');
        const similar = similarity(own, other);
        if (similar < (known === undefined ? SIMILAR_MIN : ALIKE_MIN)) continue;
        substitutes ??= new Map();
        substitutes.set(index - from, (1 - similar) * 1.2 + (known === undefined ? 0.1 : PRICES.knownSubstitute));
      }
    }
    return { kind: 'line', key, weight, insertCost, substitutes };
  });
}
