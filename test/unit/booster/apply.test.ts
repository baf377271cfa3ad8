import { beforeAll, describe, expect, test } from 'vitest';
import type { Engine } from '../../../wasm/booster/engine.ts';
import { APPLY_MAX_LENGTH, SOURCE_MAX_LENGTH } from '../../../wasm/booster/limits.ts';
import { apply } from '../../../wasm/booster/merge/apply.ts';
import { isMarkerLine } from '../../../wasm/booster/merge/markers.ts';
import { applySplices, splitLines, toSplices } from '../../../wasm/booster/merge/text.ts';
import { newEngine } from '../../lib/booster.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await newEngine();
}, 60_000);

const TWO = 'function first() {\n  return 1;\n}\n\nfunction second() {\n  return 2;\n}\n';

describe('apply', { timeout: 60_000 }, () => {
  test.each([
    ['// ... existing code ...', true],
    ['  # ... rest of the class ...', true],
    ['/* ... */', true],
    ['{/* ... existing code ... */}', true],
    ['<!-- ... unchanged ... -->', true],
    ['// rest of the file remains unchanged', true],
    ['// … existing code …', true],
    ['...', true],
    ['// TODO: more of this...', false],
    ['# trailing space and our existing logic... YUCK...', false],
    ['// see the existing tests', false],
    ['f(...args);', false],
    ['const { ...rest } = a;', false],
  ])('B10: %s is a marker: %s', (line, wanted) => {
    expect(isMarkerLine(line, 'typescript')).toBe(wanted);
  });

  test('B10: dots alone are code in Python', () => {
    expect(isMarkerLine('    ...', 'python')).toBe(false);
    expect(isMarkerLine('    # ...', 'python')).toBe(true);
  });

  test('B12: an edit that is there already changes nothing', () => {
    const edit = '// ... existing code ...\nfunction second() {\n  return 2;\n}\n';
    expect(apply(engine, { original: TWO, edit, language: 'javascript' })).toMatchObject({
      ok: true,
      changed: false,
      output: TWO,
    });
  });

  test('B10: a style that is given goes before the one that would be detected', () => {
    const edit = 'function second() {\n  return 3;\n}\n';
    const detected = apply(engine, { original: TWO, edit, language: 'javascript' });
    expect(detected).toMatchObject({ ok: true, style: 'snippet', engine: 'tree' });
    // As a whole file it would drop a function; that it stops short it does not.
    expect(apply(engine, { original: TWO, edit, language: 'javascript', style: 'full' })).toMatchObject({
      ok: true,
      output: edit,
    });
  });

  test.each([
    ['empty', { original: TWO, edit: ' \n' }],
    ['not_code', { original: TWO, edit: '// ... existing code ...\n' }],
    ['too_large', { original: 'a'.repeat(SOURCE_MAX_LENGTH + 1), edit: 'b' }],
    ['too_large', { original: 'a', edit: 'b'.repeat(APPLY_MAX_LENGTH) }],
    ['not_found', { original: TWO, edit: '<<<<<<< SEARCH\nnothing like it\n=======\nb\n>>>>>>> REPLACE\n' }],
    [
      'ambiguous',
      { original: `${TWO}${TWO.replaceAll('function', 'async function')}`, edit: 'function second() {\n  return 9;\n}\n' },
    ],
    ['does_not_parse', { original: TWO, edit: '<<<<<<< SEARCH\n  return 2;\n=======\n  return 2 +;\n>>>>>>> REPLACE\n' }],
    ['does_not_parse', { original: TWO, edit: '// ... existing code ...\nfunction second() {\n  retur' }],
  ])('B45: a refusal says why: %s', (reason, request) => {
    const result = apply(engine, { ...request, language: 'javascript' });
    expect(result.ok ? result.output : result.reason).toBe(reason);
  });

  test('B45: several places are listed', () => {
    const edit = '<<<<<<< SEARCH\n}\n=======\n};\n>>>>>>> REPLACE\n';
    const result = apply(engine, { original: TWO, edit, language: 'javascript' });
    expect(result).toMatchObject({ ok: false, reason: 'ambiguous', candidates: [{ line: 3 }, { line: 7 }] });
  });

  test('B31: mixed line ends stay, line by line; new lines take that of the line before', () => {
    const original = 'const a = 1;\r\nconst b = 2;\nconst c = 3;\r\nconst d = 4;';
    const edit = '@@ -1,3 +1,4 @@\n const a = 1;\n+const x = 0;\n const b = 2;\n-const c = 3;\n+const c = 5;\n';
    const result = apply(engine, { original, edit, language: 'javascript' });
    expect(result.ok && result.output).toBe('const a = 1;\r\nconst x = 0;\r\nconst b = 2;\nconst c = 5;\nconst d = 4;');
  });

  test('B31: whether a file ends with a line end stays as it was', () => {
    for (const [original, out, wanted] of [
      ['a\nb', [0, 1, 'c'], 'a\nb\nc'],
      ['a\nb', [0], 'a'],
      ['a\nb\n', [0], 'a\n'],
      ['a\nb', [0, 'c'], 'a\nc'],
      ['a\n', ['x', 0], 'x\na\n'],
      ['a\r\nb\n', [0, 'x', 1], 'a\r\nx\r\nb\n'],
    ] as const) {
      expect(applySplices(original, toSplices(splitLines(original), out))).toBe(wanted);
    }
  });

  test('B5: an engine that broke during an edit throws, and takes no more', async () => {
    const broken = await newEngine();
    apply(broken, { original: TWO, edit: TWO, language: 'javascript' });
    broken.binding().HEAPU8.fill(0xff);
    expect(() =>
      apply(broken, { original: TWO, edit: 'function second() {\n  return 3;\n}\n', language: 'javascript' }),
    ).toThrow();
    expect(broken.taint).not.toBeNull();
  });
});
