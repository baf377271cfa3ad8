import { beforeAll, describe, expect, test } from 'vitest';
import type { Engine } from '../../../wasm/booster/engine.ts';
import type { LanguageId } from '../../../wasm/booster/languages.ts';
import { apply } from '../../../wasm/booster/merge/apply.ts';
import { newEngine } from '../../lib/booster.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await newEngine();
}, 60_000);

const text = (...lines: readonly string[]): string => `${lines.join('\n')}\n`;

const entry = (name: string, kind: string): string[] => [
  '  {',
  `    name: "${name}",`,
  `    kind: "${kind}",`,
  '    weight: 0,',
  '  },',
];

const LIST = text('export const LIST = [', ...entry('one', 'round'), ...entry('two', 'square'), ...entry('last', 'flat'), '];');

const CELLS = text(
  'def first(a):',
  '    total = open_up(a)',
  '    total.check(a)',
  '    return total',
  '',
  'def second(a):',
  '    total = open_up(a)',
  '    total.close(a)',
  '    return total',
);

const GUARDS = text(
  'def run(a):',
  '    if a.closed:',
  '        return None',
  '    prepare(a)',
  '    if a.empty:',
  '        return None',
  '    finish(a)',
  '    return a',
);

describe('places that are not the only one', () => {
  test.each<[what: string, language: LanguageId, original: string, edit: string]>([
    [
      'a new item, or the new version of the one before it?',
      'javascript',
      LIST,
      text(
        '// ... existing code ...',
        '    weight: 0,',
        '  },',
        '  {',
        '    name: "three",',
        '    kind: "square",',
        '    weight: 0,',
        '  },',
        '  {',
        '    name: "last",',
        '// ... existing code ...',
      ),
    ],
    [
      'nothing new is shown: does what is between two places go?',
      'python',
      GUARDS,
      text('# ... existing code ...', '        return None', '    finish(a)', '# ... existing code ...'),
    ],
    [
      'a new line that is nearly a hidden one',
      'javascript',
      text('function f(a) {', '  const b = a;', '  if (a.state === "free") b.take();', '  log(a);', '  return b;', '}'),
      text(
        '// ... existing code ...',
        '  if (a.state === "freed") b.take();',
        '  warn(a);',
        '  return b;',
        '// ... existing code ...',
      ),
    ],
  ])('B47: %s', (_what, language, original, edit) => {
    expect(apply(engine, { original, edit, language })).toMatchObject({ ok: false, reason: 'ambiguous' });
  });

  test('B47: a line that tells its place has no rival', () => {
    const edit = text(
      '# ... existing code ...',
      'def second(a):',
      '    total = open_up(a, 2)',
      '    total.close(a)',
      '    return total',
    );
    const applied = apply(engine, { original: CELLS, edit, language: 'python' });
    expect(applied).toMatchObject({
      ok: true,
      output: CELLS.replace(/(def second\(a\):\n {4}total = open_up\(a)/, '$1, 2'),
    });
  });

  test('B42: the beginning of a file is not shown, and its end is', () => {
    const edit = text(
      'function one() {',
      '  return 1;',
      '}',
      '',
      'function two() {',
      '// ... existing code ...',
      '  return 3;',
      '}',
    );
    const original = text(
      "import { three } from './three.js';",
      '',
      'function one() {',
      '  return 1;',
      '}',
      '',
      'function two() {',
      '  three();',
      '  return 2;',
      '}',
    );
    expect(apply(engine, { original, edit, language: 'javascript' })).toMatchObject({ ok: false, reason: 'ambiguous' });
  });
});
