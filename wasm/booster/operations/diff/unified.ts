import { diffLines, splitLines, type DiffRun } from './myers.ts';

/** A unified diff and what it holds. */
export interface UnifiedDiff {
  /** The text of the diff; empty when both sides are the same. */
  readonly text: string;
  readonly added: number;
  readonly removed: number;
  readonly hunks: number;
}

/** Lines of context on each side of a change, as `diff -u` and git show them. */
export const DIFF_CONTEXT_LINES = 3;

/**
 * The unified diff of two texts, as `git apply` and `patch` take it: a last line without an ending is marked, `\r` stays part
 * of its line, an empty side counts from line 0. `null` when the texts are too large and too different (see `diffLines`).
 */
export function unifiedDiff(options: {
  readonly oldText: string;
  readonly newText: string;
  readonly path?: string;
  readonly contextLines?: number;
  readonly stepsMax?: number;
}): UnifiedDiff | null {
  const oldLines = splitLines(options.oldText);
  const newLines = splitLines(options.newText);
  const runs = diffLines(oldLines, newLines, options.stepsMax);
  if (runs === null) return null;
  const hunks = hunksOf(runs, options.contextLines ?? DIFF_CONTEXT_LINES);
  const count = (kind: DiffRun['kind']): number => runs.reduce((sum, run) => sum + (run.kind === kind ? run.count : 0), 0);
  const head = hunks.length === 0 ? '' : headerOf(options.path);
  return {
    text: head + hunks.map((hunk) => hunkText(hunk, oldLines, newLines)).join(''),
    added: count('added'),
    removed: count('removed'),
    hunks: hunks.length,
  };
}

/** Runs that are close enough to share their context; the outer `same` runs are already cut to it. */
function hunksOf(runs: readonly DiffRun[], contextLines: number): readonly (readonly DiffRun[])[] {
  const hunks: DiffRun[][] = [];
  let current: DiffRun[] | null = null;
  for (const [index, run] of runs.entries()) {
    if (run.kind !== 'same') {
      if (current === null) {
        current = [];
        const before = runs[index - 1];
        if (before !== undefined && contextLines > 0) current.push(tailOf(before, contextLines));
        hunks.push(current);
      }
      current.push(run);
      continue;
    }
    if (current === null) continue;
    const last = index === runs.length - 1;
    if (!last && run.count <= 2 * contextLines) current.push(run);
    else {
      if (contextLines > 0) current.push({ ...run, count: Math.min(run.count, contextLines) });
      current = null;
    }
  }
  return hunks;
}

function tailOf(run: DiffRun, lines: number): DiffRun {
  const skip = Math.max(0, run.count - lines);
  return { ...run, oldLine: run.oldLine + skip, newLine: run.newLine + skip, count: run.count - skip };
}

function hunkText(hunk: readonly DiffRun[], oldLines: readonly string[], newLines: readonly string[]): string {
  let oldCount = 0;
  let newCount = 0;
  let body = '';
  for (const run of hunk) {
    if (run.kind !== 'added') oldCount += run.count;
    if (run.kind !== 'removed') newCount += run.count;
    const mark = run.kind === 'same' ? ' ' : run.kind === 'removed' ? '-' : '+';
    const [lines, start] = run.kind === 'added' ? [newLines, run.newLine] : [oldLines, run.oldLine];
    for (const line of lines.slice(start, start + run.count)) {
      body += mark + (line.endsWith('\n') ? line : `${line}\n\\ No newline at end of file\n`);
    }
  }
  const first = hunk[0];
  if (first === undefined) throw new Error('a hunk has a change');
  return `@@ -${rangeOf(first.oldLine, oldCount)} +${rangeOf(first.newLine, newCount)} @@\n${body}`;
}

/** A range without lines names the line before it, so an empty file is `0,0`. */
const rangeOf = (line: number, count: number): string =>
  count === 1 ? String(line + 1) : `${count === 0 ? line : line + 1},${count}`;

/** The two file lines. A path with characters that would end its line or quote it is written as git quotes it. */
function headerOf(path: string | undefined): string {
  const name = path === undefined || path === '' ? 'file' : path;
  return `--- ${quoted(`a/${name}`)}\n+++ ${quoted(`b/${name}`)}\n`;
}

const ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '"': '\\"', '\\': '\\\\' };

function quoted(name: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what must not reach the header
  if (!/[\u0000-\u001f"\\\u007f]/.test(name)) return name;
  // eslint-disable-next-line no-control-regex -- as above
  const escaped = name.replaceAll(/[\u0000-\u001f"\\\u007f]/g, (character) => {
    const code = character.charCodeAt(0);
    return ESCAPES[character] ?? `\\${code.toString(8).padStart(3, '0')}`;
  });
  return `"${escaped}"`;
}
