import type { LanguageId } from '../../../wasm/booster/languages.ts';
import type { Seeded } from '../seeded.ts';
import type { Change } from './diff.ts';

const indentOf = (text: string): string => /^[ \t]*/.exec(text)?.[0] ?? '';
const blank = (text: string): boolean => text.trim() === '';
const width = (text: string): number => indentOf(text).replaceAll('\t', '    ').length;

const TEXTS = [
  '... existing code ...',
  '...',
  '... rest of the code ...',
  '... existing imports ...',
  '... unchanged ...',
  'existing code ...',
  '... (rest unchanged)',
  '… existing code …',
  '... other methods ...',
  'rest of code remains unchanged ...',
];

/** How one author writes markers. */
export interface MarkerHabit {
  readonly text: string;
  readonly comment: (text: string) => string;
  readonly indent: 'next' | 'previous' | 'none';
  /** Blank lines round markers. */
  readonly airy: boolean;
  /** Edges of the file are marked. */
  readonly edges: boolean;
}

export function markerHabit(random: Seeded, language: LanguageId): MarkerHabit {
  const hash = language === 'python' || language === 'ruby' || language === 'bash';
  const comments: ((text: string) => string)[] = hash
    ? [(text) => `# ${text}`]
    : [(text) => `// ${text}`, (text) => `/* ${text} */`];
  const comment = random.chance(0.85) ? (comments[0] ?? String) : random.pick(comments);
  return {
    text: random.chance(0.6) ? (TEXTS[0] ?? '') : random.pick(TEXTS),
    comment,
    indent: random.weighted({ next: 6, none: 2, previous: 2 }),
    airy: random.chance(0.15),
    edges: random.chance(0.85),
  };
}

/** The new text with everything elided that `shown` does not hold; null if nothing would be elided. */
export function renderShown(after: readonly string[], shown: ReadonlySet<number>, habit: MarkerHabit): string | null {
  const out: string[] = [];
  let elided = false;
  for (let line = 0; line < after.length;) {
    if (shown.has(line)) {
      out.push(after[line] ?? '');
      line += 1;
      continue;
    }
    const start = line;
    while (line < after.length && !shown.has(line)) line += 1;
    const gap = after.slice(start, line);
    if (gap.every(blank)) {
      out.push(...gap);
      continue;
    }
    elided = true;
    const edge = start === 0 || line === after.length;
    if (edge && !habit.edges) continue;
    const first = gap.find((text) => !blank(text)) ?? '';
    const indent = habit.indent === 'none' ? '' : habit.indent === 'next' ? indentOf(first) : indentOf(after[start - 1] ?? first);
    if (habit.airy && start > 0 && !blank(after[start - 1] ?? '')) out.push('');
    out.push(indent + habit.comment(habit.text));
    if (habit.airy && line < after.length && !blank(after[line] ?? '')) out.push('');
  }
  return elided ? `${out.join('\n')}\n` : null;
}

/** Changed lines with some lines round them, as a reader of a diff sees them. A pure deletion shows its neighbours. */
export function shownHunks(after: readonly string[], changes: readonly Change[], context: number): Set<number> {
  const shown = new Set<number>();
  for (const { newFrom, newTo } of changes) {
    for (let line = newFrom; line < newTo; line += 1) shown.add(line);
    for (const [start, step] of [
      [newFrom - 1, -1],
      [newTo, 1],
    ] as const) {
      // A blank line or a bracket alone says nothing about a place.
      let plain = 0;
      for (let line = start; line >= 0 && line < after.length && plain < context; line += step) {
        shown.add(line);
        if (/[\p{L}\p{N}]/u.test(after[line] ?? '')) plain += 1;
      }
    }
  }
  return shown;
}

/** The same with the lines that head the blocks the changes stand in, and those that close them. */
export function shownStructure(after: readonly string[], changes: readonly Change[], context: number): Set<number> {
  const shown = shownHunks(after, changes, context);
  const hunks = [...shown];
  for (const line of hunks) {
    let depth = width(after[line] ?? '');
    if (blank(after[line] ?? '')) continue;
    for (let above = line - 1; above >= 0 && depth > 0; above -= 1) {
      const text = after[above] ?? '';
      if (blank(text) || width(text) >= depth) continue;
      depth = width(text);
      shown.add(above);
      // The bracket that closes this block.
      for (let below = line + 1; below < after.length; below += 1) {
        const closing = after[below] ?? '';
        if (blank(closing) || width(closing) > depth) continue;
        if (width(closing) === depth && /^\s*[)\]}]/.test(closing)) shown.add(below);
        break;
      }
    }
  }
  return shown;
}

/** SEARCH/REPLACE blocks, each with as many lines round it as make it unique; null where that cannot be. */
export function renderBlocks(before: readonly string[], after: readonly string[], changes: readonly Change[]): string | null {
  const out: string[] = [];
  let done = 0;
  for (const { from, to, newFrom, newTo } of changes) {
    let above = Math.max(done, from - 1);
    let below = Math.min(before.length, to + (to === from ? 1 : 0));
    const occurrences = (): number => {
      const wanted = before.slice(above, below);
      if (wanted.every(blank)) return 2;
      let count = 0;
      for (let line = 0; line + wanted.length <= before.length; line += 1) {
        if (wanted.every((text, at) => before[line + at]?.trim() === text.trim())) count += 1;
      }
      return count;
    };
    while (occurrences() > 1 && (above > done || below < before.length)) {
      if (above > done) above -= 1;
      if (below < before.length && occurrences() > 1) below += 1;
    }
    if (occurrences() !== 1) return null;
    const replace = [...before.slice(above, from), ...after.slice(newFrom, newTo), ...before.slice(to, below)];
    const next = changes[changes.findIndex((each) => each.from === from && each.newFrom === newFrom) + 1];
    if (next !== undefined && next.from < below) return null;
    out.push('<<<<<<< SEARCH', ...before.slice(above, below), '=======', ...replace, '>>>>>>> REPLACE', '');
    done = below;
  }
  return out.join('\n');
}

/** A unified diff whose line numbers are off by `shift`, or missing if null. */
export function renderDiff(
  before: readonly string[],
  after: readonly string[],
  changes: readonly Change[],
  context: number,
  shift: number | null,
): string {
  const out: string[] = ['--- a/file', '+++ b/file'];
  for (let at = 0; at < changes.length;) {
    let end = at + 1;
    while (end < changes.length && (changes[end]?.from ?? 0) - (changes[end - 1]?.to ?? 0) <= context * 2) end += 1;
    const group = changes.slice(at, end);
    const [first, last] = [group[0], group.at(-1)];
    if (first === undefined || last === undefined) break;
    const start = Math.max(0, first.from - context);
    const stop = Math.min(before.length, last.to + context);
    const lines: string[] = [];
    let line = start;
    for (const { from, to, newFrom, newTo } of group) {
      for (; line < from; line += 1) lines.push(` ${before[line] ?? ''}`);
      for (; line < to; line += 1) lines.push(`-${before[line] ?? ''}`);
      for (let fresh = newFrom; fresh < newTo; fresh += 1) lines.push(`+${after[fresh] ?? ''}`);
    }
    for (; line < stop; line += 1) lines.push(` ${before[line] ?? ''}`);
    const newStart = start + first.newFrom - first.from;
    const counts = [stop - start, lines.filter((each) => !each.startsWith('-')).length];
    out.push(
      shift === null
        ? '@@ ... @@'
        : `@@ -${Math.max(1, start + 1 + shift)},${counts[0]} +${Math.max(1, newStart + 1 + shift)},${counts[1]} @@`,
      ...lines,
    );
    at = end;
  }
  return `${out.join('\n')}\n`;
}
