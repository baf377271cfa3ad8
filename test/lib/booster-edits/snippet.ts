import type { Engine } from '../../../wasm/booster/engine.ts';
import type { LanguageId } from '../../../wasm/booster/languages.ts';
import { type Declaration, declarationsOf } from '../../../wasm/booster/merge/declarations.ts';
import type { Seeded } from '../seeded.ts';
import type { Change } from './diff.ts';

/**
 * The changed functions and methods as a whole, without their class; null if something outside of them changed, or one of
 * them is new.
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
  for (const { path } of read(before)) known.set(path, (known.get(path) ?? 0) + 1);
  const starts: number[] = [0];
  for (const text of after) starts.push((starts.at(-1) ?? 0) + text.length + 1);
  const rowOf = (offset: number): number => starts.findLastIndex((start) => start <= offset);
  const found = new Map<number, readonly [first: number, end: number]>();
  const named = new Map<string, number>();
  for (const { key } of read(source)) named.set(key, (named.get(key) ?? 0) + 1);
  const declared = read(source).filter(({ key, path }) => /^(?:function|method):/.test(key) && known.get(path) === 1);
  for (const { newFrom, newTo } of changes) {
    const around = declared
      .map(({ start, end, key }) => [rowOf(start), rowOf(end - 1) + 1, key] as const)
      .filter(([first, end]) => first <= newFrom && end >= Math.max(newTo, newFrom + 1) && (newTo > newFrom || first < newFrom));
    const smallest = around.toSorted((a, b) => a[1] - a[0] - (b[1] - b[0]))[0];
    if (smallest === undefined) return null;
    const [first, end, key] = smallest;
    found.set(first, [first, end]);
    // Without its class, a method that several classes have says nothing.
    if ((named.get(key) ?? 0) > 1) return null;
  }
  const dedent = random.chance(0.5);
  return `${[...found.values()]
    .toSorted((a, b) => a[0] - b[0])
    .map(([first, end]) => {
      const texts = after.slice(first, end);
      const indent = /^[ \t]*/.exec(texts[0] ?? '')?.[0] ?? '';
      return (dedent ? texts.map((text) => (text.startsWith(indent) ? text.slice(indent.length) : text)) : texts).join('\n');
    })
    .join('\n\n')}\n`;
}
