import type { Engine } from '../../../wasm/booster/engine.ts';
import type { LanguageId } from '../../../wasm/booster/languages.ts';
import { type Declaration, declarationsOf } from '../../../wasm/booster/merge/declarations.ts';
import type { Seeded } from '../seeded.ts';
import type { Change } from './diff.ts';

/**
 * The changed functions and methods as a whole, without their class; null if something outside of them changed, or one of
 * them is new: a comment over one that goes, or a whole function, is nowhere to be seen in it.
 */
export function renderSnippet(
  engine: Engine,
  language: LanguageId,
  before: string,
  after: readonly string[],
  changes: readonly Change[],
  random: Seeded,
): string | null {
  const source = `${after.join('\n')}\n`;
  const read = (text: string): readonly Declaration[] =>
    engine.session((session) => {
      const parsed = session.parse(language, text);
      return typeof parsed === 'string' ? [] : declarationsOf(parsed.snapshot, language);
    });
  const known = new Map<string, number>();
  const old = read(before);
  for (const { path } of old) known.set(path, (known.get(path) ?? 0) + 1);
  const rowOf = rowsOf(after);
  const found = new Map<number, Shown>();
  const named = new Map<string, number>();
  for (const { key } of read(source)) named.set(key, (named.get(key) ?? 0) + 1);
  const declared = read(source).filter(({ key, path }) => /^(?:function|method):/.test(key) && known.get(path) === 1);
  for (const { newFrom, newTo } of changes) {
    const around = declared
      .map(({ start, end, key, path }) => [rowOf(start), rowOf(end - 1) + 1, key, path] as const)
      .filter(([first, end]) => first <= newFrom && end >= Math.max(newTo, newFrom + 1) && (newTo > newFrom || first < newFrom));
    const smallest = around.toSorted((a, b) => a[1] - a[0] - (b[1] - b[0]))[0];
    if (smallest === undefined) return null;
    const [first, end, key, path] = smallest;
    found.set(first, { first, end, path });
    // Without its class, a method that several classes have says nothing.
    if ((named.get(key) ?? 0) > 1) return null;
  }
  const shown = [...found.values()].toSorted((a, b) => a.first - b.first);
  if (!saysAll(before.split('\n'), after, old, shown)) return null;
  const dedent = random.chance(0.5);
  return `${shown
    .map(({ first, end }) => {
      const texts = after.slice(first, end);
      const indent = /^[ \t]*/.exec(texts[0] ?? '')?.[0] ?? '';
      // Where a line is further left, nobody could move it back.
      const canMove = dedent && texts.every((text) => text.trim() === '' || text.startsWith(indent));
      return (canMove ? texts.map((text) => text.slice(indent.length)) : texts).join('\n');
    })
    .join('\n\n')}\n`;
}

interface Shown {
  /** Lines of the new text. */
  readonly first: number;
  readonly end: number;
  readonly path: string;
}

function rowsOf(texts: readonly string[]): (offset: number) => number {
  const starts: number[] = [0];
  for (const text of texts) starts.push((starts.at(-1) ?? 0) + text.length + 1);
  return (offset) => starts.findLastIndex((start) => start <= offset);
}

/** Whether the new text is the old one with nothing but the shown definitions put in place of theirs, blank lines aside. */
function saysAll(
  before: readonly string[],
  after: readonly string[],
  old: readonly Declaration[],
  shown: readonly Shown[],
): boolean {
  const rowOf = rowsOf(before);
  const places = shown.map(({ path, ...range }) => ({ range, there: old.find((declaration) => declaration.path === path) }));
  const made: string[] = [];
  let next = 0;
  for (const { range, there } of places.toSorted((a, b) => (a.there?.start ?? 0) - (b.there?.start ?? 0))) {
    if (there === undefined) return false;
    made.push(...before.slice(next, rowOf(there.start)), ...after.slice(range.first, range.end));
    next = rowOf(there.end - 1) + 1;
  }
  made.push(...before.slice(next));
  const told = (texts: readonly string[]): string => texts.filter((text) => text.trim() !== '').join('\n');
  return told(made) === told(after);
}
