import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { globProblem, overlap, patternsOf } from '../../../durable-objects/memory/core/globs.ts';

const meet = (a: string, b: string): boolean => overlap(patternsOf(a), patternsOf(b));

/** Another way to the answer: every path over a small alphabet, matched against a regular expression written from the rules. */
const LETTERS = ['a', 'b', '/'];
const PATHS = ((): readonly string[] => {
  const all = [''];
  for (let at = 0; at < all.length; at += 1) {
    const path = all[at] ?? '';
    if (path.length === 5) continue;
    for (const letter of LETTERS) all.push(path + letter);
  }
  // Paths as they are: no empty folder, no slash at an end.
  return all.filter((path) => path !== '' && !path.startsWith('/') && !path.endsWith('/') && !path.includes('//'));
})();

function regexOf(glob: string): RegExp {
  const parts = glob.split('/').filter((part) => part !== '');
  let text = '';
  for (const [i, part] of parts.entries()) {
    const isLast = i === parts.length - 1;
    if (part === '**') text += isLast ? '.*' : '(?:.*/)?';
    else
      text +=
        part.replaceAll('**', '§').replaceAll('*', '[^/]*').replaceAll('?', '[^/]').replaceAll('§', '.*').replaceAll('[!', '[^') +
        (isLast ? '' : '/');
  }
  // A plain path stands for what is below it.
  return new RegExp(`^(?:${text.replace(/\/$/, '')})${/[*?[]/.test(glob) ? '' : '(?:/.*)?'}$`);
}

const segment = fc.oneof(
  fc.constantFrom('a', 'b', 'ab', '*', '?', 'a*', '*b', '[ab]', '**', 'a?'),
  fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), minLength: 1, maxLength: 4 }),
);
const glob = fc.array(segment, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'));

describe('claims on paths', { timeout: 60_000 }, () => {
  it('M111 no overlap is ever missed', () => {
    fc.assert(
      fc.property(glob, glob, (a, b) => {
        const [one, other] = [regexOf(a), regexOf(b)];
        const common = PATHS.find((path) => one.test(path) && other.test(path));
        return common === undefined || meet(a, b);
      }),
      { numRuns: 3_000 },
    );
  });

  it('M112 what cannot meet does not, where the rules are exact', () => {
    for (const [a, b] of [
      ['src/a.ts', 'src/b.ts'],
      ['src/*.ts', 'src/*.js'],
      ['src/a/**', 'src/b/**'],
      ['src/*', 'srcs/*'],
      ['a?c', 'abbc'],
      ['[a-c]x', 'dx'],
      ['{a,b}/x', 'c/x'],
      ['**/a.ts', '**/b.ts'],
      ['docs/**/*.md', 'docs/**/*.ts'],
      ['src/*', 'src/a/b.ts'],
      ['**/*.ts', '**/*.md'],
    ] as const)
      expect({ a, b, meet: meet(a, b) || meet(b, a) }).toEqual({ a, b, meet: false });
  });

  it.each([
    ['src', 'src/a.ts'],
    ['src/', '/src//a.ts'],
    ['./src/a', 'src/a'],
    ['.', 'anything/at/all'],
    ['**', 'x'],
    ['src/**', 'src'],
    ['src/**/x.ts', 'src/x.ts'],
    ['**/x.ts', 'x.ts'],
    ['**/**/x', 'x'],
    ['SRC/A.TS', 'src/a.ts'],
    ['[A-Z]x', 'ax'],
    ['straße', 'STRASSE'],
    ['caf\u0065\u0301', 'caf\u00e9'],
    ['{a,b}.ts', 'b.ts'],
    ['{src,test}/**', 'test/x/y.ts'],
    ['{a{b,c},d}', 'ac'],
    ['a[!b]c', 'abc'],
    ['[]]x', ']x'],
    ['[a', '[a'],
    ['*.ts', '?.ts'],
    ['a*b*c', 'abc'],
  ])('M111 %s meets %s', (a, b) => {
    expect([meet(a, b), meet(b, a)]).toEqual([true, true]);
  });

  it('M113 forms that mean more elsewhere than here are refused, not taken for names', () => {
    for (const foreign of ['!(a)', '+(a|b)', '@(a)', '!src/**', '[[:alpha:]]', '{1..9}'])
      expect(globProblem(foreign)).not.toBeNull();
    for (const plain of ['a(b)', 'x!y', 'a..b', '{a,b..c}x', '[a-z]*', '**/*']) expect(globProblem(plain)).toBeNull();
    expect(globProblem('{a,b,c,d}{a,b,c,d}{a,b,c,d}{a,b}')).toMatch(/alternatives/);
    expect(globProblem('*a'.repeat(20))).toMatch(/wildcards/);
  });

  it('M114 the worst patterns that are allowed are compared in bounded steps', () => {
    const hard = `${'*a'.repeat(16)}${'b'.repeat(200)}`;
    const other = `${'?'.repeat(0)}${'*b'.repeat(16)}${'a'.repeat(200)}`;
    expect(meet(hard, other)).toBe(false);
  });
});
