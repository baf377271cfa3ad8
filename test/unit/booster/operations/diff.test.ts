import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { diffLines, splitLines } from '../../../../wasm/booster/operations/diff/myers.ts';
import { unifiedDiff } from '../../../../wasm/booster/operations/diff/unified.ts';

/** What `patch` does with one file's hunks, strictly: every context and removed line must stand where the hunk says. */
function patch(oldText: string, diff: string): string {
  const old = splitLines(oldText);
  const out: string[] = [];
  let at = 0;
  const lines = splitLines(diff);
  for (let index = 2; index < lines.length;) {
    const head = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@\n$/.exec(lines[index]!);
    if (head === null) throw new Error(`no hunk: ${lines[index]}`);
    const [start, oldCount, newCount] = [Number(head[1]), Number(head[2] ?? 1), Number(head[4] ?? 1)];
    const from = oldCount === 0 ? start : start - 1;
    out.push(...old.slice(at, from));
    at = from;
    let [removed, added] = [0, 0];
    for (index++; index < lines.length && !lines[index]!.startsWith('@@'); index++) {
      let line = lines[index]!;
      if (lines[index + 1]?.startsWith('\\') === true) line = line.slice(0, -1);
      if (line.startsWith('\\')) continue;
      if (line.startsWith('+')) {
        out.push(line.slice(1));
        added++;
        continue;
      }
      expect(old[at]).toBe(line.slice(1));
      if (line.startsWith(' ')) {
        out.push(line.slice(1));
        added++;
      }
      removed++;
      at++;
    }
    expect([removed, added]).toEqual([oldCount, newCount]);
  }
  return [...out, ...old.slice(at)].join('');
}

/** The length of the longest common subsequence, the plain quadratic way. */
function common(a: readonly string[], b: readonly string[]): number {
  let row = Array.from({ length: b.length + 1 }, () => 0);
  for (const x of a) {
    const next = [0];
    for (const [j, y] of b.entries()) next.push(x === y ? row[j]! + 1 : Math.max(row[j + 1]!, next[j]!));
    row = next;
  }
  return row.at(-1)!;
}

const text = fc
  .array(fc.constantFrom('a\n', 'b\n', 'c\r\n', '\n', 'é😀\n', '@@ x\n', '+p\n', '-m\n', '\\n\n'), { maxLength: 30 })
  .chain((lines) => fc.constantFrom('', 'end', '\r').map((tail) => lines.join('') + tail));

describe('diff', () => {
  it('B150: a diff applied to the old text gives the new text', () => {
    fc.assert(
      fc.property(text, text, fc.integer({ min: 0, max: 4 }), (oldText, newText, contextLines) => {
        const diff = unifiedDiff({ oldText, newText, contextLines })!;
        expect(oldText === newText).toBe(diff.text === '');
        if (diff.text !== '') expect(patch(oldText, diff.text)).toBe(newText);
      }),
      { numRuns: 2000 },
    );
  });

  it('B151: no diff is longer than needed', () => {
    const side = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 24 });
    fc.assert(
      fc.property(side, side, (a, b) => {
        const runs = diffLines(a, b)!;
        const same = runs.reduce((sum, run) => sum + (run.kind === 'same' ? run.count : 0), 0);
        expect(same).toBe(common(a, b));
        for (const run of runs) {
          if (run.kind !== 'same') continue;
          expect(a.slice(run.oldLine, run.oldLine + run.count)).toEqual(b.slice(run.newLine, run.newLine + run.count));
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('B150: the form is that of diff -u', () => {
    const diff = unifiedDiff({ oldText: 'one\ntwo\nthree', newText: 'one\n2\nthree', path: 'src/x.ts' })!;
    expect(diff.text).toBe(
      '--- a/src/x.ts\n+++ b/src/x.ts\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n\\ No newline at end of file\n',
    );
    expect(diff).toMatchObject({ added: 1, removed: 1, hunks: 1 });
    expect(unifiedDiff({ oldText: '', newText: 'a\n' })!.text).toBe('--- a/file\n+++ b/file\n@@ -0,0 +1 @@\n+a\n');
    expect(unifiedDiff({ oldText: 'a\n', newText: '' })!.text).toBe('--- a/file\n+++ b/file\n@@ -1 +0,0 @@\n-a\n');
    expect(unifiedDiff({ oldText: 'a\r\nb\r\n', newText: 'a\r\nc\r\n' })!.text).toContain('-b\r\n+c\r\n');
  });

  it('B150: changes within twice the context share a hunk, farther ones do not', () => {
    const lines = Array.from({ length: 30 }, (_, index) => `${index}\n`);
    const changed = (...at: number[]) => lines.map((line, index) => (at.includes(index) ? `x${line}` : line)).join('');
    expect(unifiedDiff({ oldText: lines.join(''), newText: changed(5, 12) })!.hunks).toBe(1);
    expect(unifiedDiff({ oldText: lines.join(''), newText: changed(5, 13) })!.hunks).toBe(2);
  });

  it('B150: a path cannot forge a line of the diff', () => {
    const diff = unifiedDiff({ oldText: 'a\n', newText: 'b\n', path: 'x\n+++ b/etc "q"' })!;
    expect(splitLines(diff.text).slice(0, 2)).toEqual(['--- "a/x\\n+++ b/etc \\"q\\""\n', '+++ "b/x\\n+++ b/etc \\"q\\""\n']);
  });

  it('B152: what would take too many steps is refused', () => {
    const a = Array.from({ length: 3000 }, (_, index) => `a${index}`);
    const b = Array.from({ length: 3000 }, (_, index) => `b${index}`);
    expect(diffLines(a, b, 10_000)).toBeNull();
    expect(diffLines(a, b)).toHaveLength(2);
  });
});
