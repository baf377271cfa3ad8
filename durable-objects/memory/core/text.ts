/** Words of a text: runs of letters and digits, without regard to case or width. */
const WORD = /[\p{L}\p{M}\p{N}]+/gu;

export const wordsOf = (text: string): readonly string[] => text.normalize('NFKC').toLowerCase().match(WORD) ?? [];

/** The words of a JSON text: of its strings, its members' names and its numbers, and of the key it is kept under. */
export function wordsOfEntry(key: string, json: string): readonly string[] {
  const texts: string[] = [key];
  const stack: unknown[] = [JSON.parse(json)];
  for (let next = stack.pop(); stack.length > 0 || next !== undefined; next = stack.pop()) {
    if (typeof next === 'string' || typeof next === 'number') texts.push(String(next));
    else if (Array.isArray(next)) stack.push(...next.toReversed());
    else if (typeof next === 'object' && next !== null) {
      for (const [name, value] of Object.entries(next).toReversed()) stack.push(value, name);
    }
  }
  // A word never spans two texts, and neither does a phrase.
  return texts.flatMap((text) => [...wordsOf(text), '']);
}

/** What a search asks for: each part must occur. */
export interface Wanted {
  readonly words: readonly string[];
  /** The last word of the part may be only the beginning of one. */
  readonly isPrefix: boolean;
}

/** Reads `word "a phrase" begin*`; parts without a letter or digit are left out. */
export function parseQuery(query: string, most: number): readonly Wanted[] {
  const wanted: Wanted[] = [];
  for (const match of query.matchAll(/"([^"]*)"?|([^\s"]+)/g)) {
    const text = match[1] ?? match[2] ?? '';
    const words = wordsOf(text);
    if (words.length > 0) wanted.push({ words, isPrefix: match[2]?.endsWith('*') === true });
  }
  return wanted.slice(0, most);
}

/** How often a part occurs in a text's words. */
export function occurrences(words: readonly string[], part: Wanted): number {
  const last = part.words.length - 1;
  let found = 0;
  for (let at = 0; at + last < words.length; at += 1) {
    const fits = part.words.every((word, i) => {
      const there = words[at + i] ?? '';
      return i === last && part.isPrefix ? there.startsWith(word) : there === word;
    });
    if (fits) found += 1;
  }
  return found;
}

/** Of a text of `length` words in which the parts occur so often; saturating, and longer texts count less. */
export function textScore(counts: readonly number[], length: number): number {
  const damping = 1.2 * (0.25 + 0.75 * (length / 200));
  return counts.reduce((sum, count) => sum + (count * 2.2) / (count + damping), 0);
}
