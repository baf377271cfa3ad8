import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { checkSyntax } from '../../../examples/analysers/syntax.ts';
import { digestOf } from '../../../examples/analysers/source-file.ts';

const isHere = (command: string): boolean => spawnSync(command, ['--version']).status === 0;

describe('checkSyntax', () => {
  test.each([
    ['a.json', '{"a": [1, 2]}'],
    ['bom.json', '\uFEFF{}'],
    ['tsconfig.json', '{\n  // why\n  "a": ["x", "y"], /* b */\n  "u": "http://a,]",\n}'],
    ['a.ts', 'const a = <T,>(b: T): T => b; enum E { A }'],
    ['a.tsx', "export const A = () => <p>don't</p>;"],
    ['a.js', 'module.exports = () => <b/>;'],
    ['a.mjs', '#!/usr/bin/env node\nawait import("x");'],
    ['a.cjs', 'if (x) return; require("y");'],
    ['a.d.ts', 'export const a: B; export class C { get d(): number }'],
    ['a.css', '@media (width > 1px) { a { color: red } }'],
    ['a.toml', 'a = [1, 2]\n[b]\nc = "d"'],
  ])('finds nothing wrong with %s', async (path, source) => {
    expect(await checkSyntax({ path, source })).toMatchObject({ path, checked: true, errors: [], suspicions: [] });
  });

  test.each([
    ['a.json', '{\n  "a": 1,\n}', 3],
    ['cut.json', '{"a": [1,', 1],
    ['tsconfig.json', '{\n  // why\n  "a" 1\n}', 3],
    ['a.ts', 'const a = 1;\nconst b = ;\n', 2],
    ['a.d.ts', 'export const a: B;\nconst c = ;', 2],
    ['a.ts', '\nconst a: B;', 2],
    ['a.tsx', '<p>\n</b>', 2],
    ['a.mjs', 'import { a } frm "b";', 1],
    ['a.css', 'a {\n  color: red;\n', 3],
    ['a.toml', 'a = 1\nb = [', 2],
  ])('finds the error of %s on its line', async (path, source, line) => {
    const { checked, errors } = await checkSyntax({ path, source });
    expect(checked).toBe(true);
    expect(errors[0]).toMatchObject({ line });
    expect(errors[0]!.message).not.toBe('');
  });

  test.runIf(isHere('python3'))('parses Python without running it', async () => {
    expect(await checkSyntax({ path: 'a.py', source: 'raise SystemExit(7)\n' })).toMatchObject({ checked: true, errors: [] });
    const { errors, by } = await checkSyntax({ path: 'a.py', source: 'x = 1\ndef f(:\n  pass\n' });
    expect([by, errors[0]?.line]).toEqual(['python3 ast', 2]);
  });

  test.runIf(isHere('bash'))('parses shell without running it', async () => {
    expect(await checkSyntax({ path: 'a.sh', source: 'exit 7\n' })).toMatchObject({ checked: true, errors: [] });
    const { errors } = await checkSyntax({ path: 'a.sh', source: 'if true; then\n  echo\n' });
    expect(errors).toHaveLength(1);
  });

  test('says that a language without a parser was not checked', async () => {
    const go = await checkSyntax({ path: 'a.go', source: 'func f() {\n  g("}")\n' });
    expect(go).toMatchObject({ checked: false, by: 'counting brackets', errors: [] });
    expect(go.suspicions).toEqual([{ line: 1, column: 10, message: "'{' never closes" }]);
    expect((await checkSyntax({ path: 'a.c', source: 'int f(] {}' })).suspicions[0]).toMatchObject({ column: 7 });
    expect(await checkSyntax({ path: 'a.yaml', source: 'a: [' })).toMatchObject({
      checked: false,
      by: 'nothing',
      errors: [],
      suspicions: [],
    });
  });

  test('proves which text was read', async () => {
    expect((await checkSyntax({ path: 'a.json', source: '"é"' })).sha256).toBe(digestOf('"é"'));
  });

  test('refuses a file of no known kind', async () => {
    await expect(checkSyntax({ path: 'a.png', source: '' })).rejects.toThrow('a.png');
  });
});
