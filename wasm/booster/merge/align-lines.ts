import { indentWidth, isBlank } from './text.ts';

/** How much a line tells of its place. */
export type Weight = 'blank' | 'faint' | 'plain';

/** Lines that stand everywhere: brackets, `else {`, `return;`, `try {`, `end`, the end of a comment. */
const FAINT =
  /^(?:[\s{}()[\];,:*/]*|(?:\}?\s*(?:else|try|finally|do|break|continue|return|pass|end|fi|done|default|begin|loop)\b[\s{}();:]*))$/;

export const weightOf = (text: string): Weight => (isBlank(text) ? 'blank' : FAINT.test(text.trim()) ? 'faint' : 'plain');

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
