import { describe, expect, test } from 'vitest';
import { languageOf } from '../../../examples/analysers/languages.ts';
import { CODE, COMMENT, STRING, keep, lineFinder, scan } from '../../../examples/analysers/scan.ts';

const scanned = (path: string, source: string) => scan(source, languageOf(path)!);
const code = (path: string, source: string): string => keep(scanned(path, source), CODE).replaceAll(/ +/g, ' ').trim();

describe('scan', () => {
  test('blanks comments and strings and keeps every offset', () => {
    const source = "const a = 'x{'; // {\n/* { */ b('`');\n";
    const all = scanned('a.ts', source);
    const kept = [CODE, COMMENT, STRING].map((kind) => keep(all, kind));
    for (const text of kept) expect(text.length).toBe(source.length);
    expect(kept[0]).not.toContain('{');
    expect(kept[1]!.trim()).toBe('// {\n/* { */');
  });

  test.each([
    ['template with an expression', 'const a = `x ${b + `y ${c}` + {d: 1}.d} z`; e()', 'const a = b + c + {d: 1}.d ; e()'],
    ['regular expression after an operator', 'a = /[/"]{2}/g; b()', 'a = g; b()'],
    ['regular expression after return', "return /'/.test(x)", 'return .test(x)'],
    ['division', "a = b / c; d = 'x' / 2; (e) / f", 'a = b / c; d = / 2; (e) / f'],
    ['division after a word that ends like a keyword', "myreturn / 2; x.in / 3 // '", 'myreturn / 2; x.in / 3'],
    ['escaped quote', String.raw`f('it\'s {'); g()`, 'f( ); g()'],
    ['hashbang', '#!/usr/bin/env node\na()', 'a()'],
  ])('reads a script: %s', (_, source, expected) => expect(code('a.ts', source)).toBe(expected));

  test.each([
    ['a.py', '"""{ # """\nx = 1 # {', 'x = 1'],
    ['a.sh', 'echo "a # b" $# # c', 'echo $#'],
    ['a.rs', "let c = '\"'; fn f<'a>(x: &'a str) {} // \"", "let c = ; fn f<'a>(x: &'a str) {}"],
    ['a.html', '<a> <!-- <b> -->', '<a>'],
    ['a.sql', "select 'a -- b' -- c", 'select'],
    ['a.go', 's := `a\n{`', 's :='],
  ])('reads %s', (path, source, expected) => expect(code(path, source).trim()).toBe(expected));

  test('tells what never ends', () => {
    expect(scanned('a.ts', 'a /* b').unterminatedAt).toBe(2);
    expect(scanned('a.ts', 'a = `b').unterminatedAt).toBe(4);
    expect(scanned('a.c', 'char *a = "b;\nint c;').unterminatedAt).toBe(10);
    expect(scanned('a.ts', 'a /* b */').unterminatedAt).toBeNull();
  });

  test('counts lines from one', () => {
    const lineAt = lineFinder('a\nbc\n\nd');
    expect([0, 1, 2, 4, 5, 6].map(lineAt)).toEqual([1, 1, 2, 2, 3, 4]);
  });
});

describe('languageOf', () => {
  test.each([
    ['src/a.TS', 'typescript'],
    ['a.b.mjs', 'javascript'],
    ['tsconfig.core.json', 'jsonc'],
    ['package.json', 'json'],
    ['dir.py/README', undefined],
    ['.json', undefined],
    ['logo.png', undefined],
  ])('%s is %s', (path, name) => expect(languageOf(path)?.name).toBe(name));
});
