import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';

import type { Engine } from '../../../../wasm/booster/engine.ts';
import { segmentsOf } from '../../../../wasm/booster/operations/pattern.ts';
import { runOperation } from '../../../../wasm/booster/operations/run.ts';
import type { SearchReport } from '../../../../wasm/booster/operations/search.ts';
import type { BoosterResult, BoosterSuccess } from '../../../../wasm/booster/operations/task.ts';
import { newEngine } from '../../../lib/booster.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await newEngine();
});

const rewrite = (language: string, original: string, pattern: string, to: string): BoosterResult =>
  runOperation(engine, { operation: 'rewrite', language, original, pattern, rewrite: to });
const output = (result: BoosterResult): unknown => (result.ok ? result.output : `${result.reason}: ${result.detail}`);
function found(language: string, original: string, pattern: string): string[] {
  const result = runOperation(engine, { operation: 'search', language, original, pattern });
  if (!result.ok) return [result.reason];
  return (result.output as SearchReport).matches.map(({ text }) => text);
}

const FOUND: readonly (readonly [what: string, language: string, source: string, pattern: string, texts: readonly string[]])[] = [
  ['any arguments', 'typescript', 'foo(a, b); x.foo(1); foo(); foo(...c)', 'foo($$$A)', ['foo(a, b)', 'foo()', 'foo(...c)']],
  ['one argument', 'javascript', 'foo(a, b); foo(1); foo()', 'foo($X)', ['foo(1)']],
  [
    'the same twice',
    'javascript',
    'a === a; a === b; f(1) === f( 1 /* c */ ); a == a',
    '$X === $X',
    ['a === a', 'f(1) === f( 1 /* c */ )'],
  ],
  ['the first and the rest', 'javascript', 'f(1, 2, 3); f()', 'f($A, $$$R)', ['f(1, 2, 3)']],
  ['anything, twice', 'javascript', 'f(1, 2); f(1)', 'f($_, $_)', ['f(1, 2)']],
  ['past layout, comments and trailing commas', 'javascript', 'f(\n  1, // one\n  2,\n)', 'f(1,2)', ['f(\n  1, // one\n  2,\n)']],
  ['not inside strings', 'javascript', '"f(1)"; `f(1)`; f(1) // f(1)', 'f(1)', ['f(1)']],
  ['literals to the letter', 'javascript', "f('a'); f(\"a\"); f(`a`); f('a\\n')", "f('a')", ["f('a')"]],
  ['a dollar of JavaScript', 'javascript', '$el.on(1); el.on(1); $X.on(1)', '$el.on($X)', ['$el.on(1)']],
  ['an object', 'javascript', 'f({ a: 1 }, { b: 1 }, { a: 1, c })', '{ a: $V }', ['{ a: 1 }']],
  ['holes count', 'javascript', '[1, 2]; [1,, 2]; [,1, 2]', '[1, 2]', ['[1, 2]']],
  [
    'a whole function',
    'typescript',
    'function f(a: A): B { return a }\nasync function g() {}',
    'function $N($$$P): $R { $$$B }',
    ['function f(a: A): B { return a }'],
  ],
  ['JSX', 'tsx', 'const a = <Box id="1"><b/></Box>; <Box/>', '<Box id={$X}>$$$C</Box>', []],
  [
    'JSX with its children',
    'tsx',
    'const a = <Box id={x}>t<b/></Box>; <Box/>',
    '<Box id={$X}>$$$C</Box>',
    ['<Box id={x}>t<b/></Box>'],
  ],
  ['statements in a row', 'javascript', 'a(1);\nb(1);\nc();\na(2);\nb(3);', 'a($X); b($X);', ['a(1);\nb(1);']],
  ['a type', 'typescript', 'let a: Array<string>; const b = Array<string>', 'let $N: Array<$T>', ['let a: Array<string>;']],
  [
    'a body of Python',
    'python',
    'if a:\n    b()\n    c()\nif d: e()\n',
    'if $C:\n    $$$B',
    ['if a:\n    b()\n    c()', 'if d: e()'],
  ],
  ['an f-string as it is', 'python', 'f(f"{a}")\nf(f"{b}")\n', 'f(f"{a}")', ['f(f"{a}")']],
  ['keyword arguments', 'python', 'f(a, b=1)\nf(a)\n', 'f($$$A, b=$V)', ['f(a, b=1)']],
  ['a decorator', 'python', '@dec\ndef f(): pass\n\ndef g(): pass\n', '@dec\ndef $F(): $$$B', ['@dec\ndef f(): pass']],
  [
    'errors of Go',
    'go',
    'package m\nfunc f() error {\n\tif err := g(); err != nil {\n\t\treturn err\n\t}\n\tif err != nil {\n\t\treturn err\n\t}\n\treturn nil\n}\n',
    'if err != nil { return $E }',
    ['if err != nil {\n\t\treturn err\n\t}'],
  ],
  ['a function of Go', 'go', 'package m\nfunc f(a int) {}\nfunc (t T) g() {}\n', 'func $N($$$P) { $$$B }', ['func f(a int) {}']],
  ['unwraps', 'rust', 'fn f() { a.b().unwrap(); c.unwrap_or(1) }', '$X.unwrap()', ['a.b().unwrap()']],
  ['a macro', 'rust', 'fn f() { println!("a", b); print!("a"); }', 'println!("a", $X)', ['println!("a", b)']],
  [
    'a match arm',
    'rust',
    'fn f() { match a { Some(x) => x, None => 0 } }',
    'match $E { Some($X) => $X, None => $D }',
    ['match a { Some(x) => x, None => 0 }'],
  ],
  [
    'a field or local of Java',
    'java',
    'class A { int x = 1; void m() { int y = 2; final int z = 3; } }',
    'int $N = $V;',
    ['int x = 1;', 'int y = 2;'],
  ],
  [
    'a method of Java',
    'java',
    'class A { @Override public int m(int a) { return a; } int n() { return 1; } }',
    'int $M() { return $V; }',
    ['int n() { return 1; }'],
  ],
  ['a bare expression of Java', 'java', 'class A { boolean b = a.equals("x") && c; }', '$A.equals("x")', ['a.equals("x")']],
];

const REWRITTEN: readonly (readonly [
  what: string,
  language: string,
  source: string,
  pattern: string,
  to: string,
  expected: string,
])[] = [
  ['precedence outside', 'javascript', 'y = 2 * inc(1); z = inc(2)', 'inc($X)', '$X + 1', 'y = 2 * (1 + 1); z = 2 + 1'],
  ['precedence inside', 'javascript', 'double(a + b); double(c)', 'double($X)', '$X * 2', '(a + b) * 2; c * 2'],
  ['a match in a match', 'javascript', 'f(f(1), g(f(2)))', 'f($$$A)', 'h($$$A)', 'h(h(1), g(h(2)))'],
  ['a row of none', 'javascript', 'f(); f(1, 2)', 'f($$$A)', 'g(x, $$$A)', 'g(x); g(x, 1, 2)'],
  ['a row of none at the start', 'javascript', 'f(); f(1, 2)', 'f($$$A)', 'g($$$A, x)', 'g(x); g(1, 2, x)'],
  ['a comma expression', 'javascript', 'a = id((1, 2))', 'id($X)', '$X', 'a = (1, 2)'],
  ['an arrow function called', 'javascript', 'call(() => 1)', 'call($F)', '$F()', '(() => 1)()'],
  ['a member of new', 'javascript', 'make(A).b', 'make($X)', 'new $X', '(new A).b'],
  ['its own semicolon', 'javascript', 'f(1);\nf(2)\n', 'f($X)', 'g($X);', 'g(1);\ng(2);\n'],
  ['swapped', 'typescript', 'assertEqual(a as T, b!);', 'assertEqual($A, $B)', 'expect($A).toBe($B)', 'expect(a as T).toBe(b!);'],
  ['comments in a row stay', 'javascript', 'f(a /* 1 */, b)', 'f($$$A)', 'g($$$A)', 'g(a /* 1 */, b)'],
  [
    'astral characters before it',
    'javascript',
    '"😀"; f("é😀") // 😀\r\nf(1)\r\n',
    'f($X)',
    'g(\n  $X)',
    '"😀"; g(\r\n  "é😀") // 😀\r\ng(\r\n  1)\r\n',
  ],
  ['a line deleted', 'javascript', 'a();\n  debug(1);\nb();\n', 'debug($X);', '', 'a();\nb();\n'],
  ['a line deleted with CRLF', 'javascript', 'a();\r\ndebug(1);\r\nb();\r\n', 'debug($X);', '', 'a();\r\nb();\r\n'],
  [
    'a Python block moved in',
    'python',
    'def f():\n    if x:\n        a()\n        """s\n  t"""\n        b()\n    c()\n',
    'if $C:\n    $$$B',
    'with $C:\n    if y:\n        $$$B',
    'def f():\n    with x:\n        if y:\n            a()\n            """s\n  t"""\n            b()\n    c()\n',
  ],
  ['Python one line', 'python', 'x = f(not a)\n', 'f($X)', '$X and b', 'x = not a and b\n'],
  ['Python precedence', 'python', 'x = f(a or c)\n', 'f($X)', '$X and b', 'x = (a or c) and b\n'],
  [
    'Go',
    'go',
    'package m\n\nfunc f() {\n\tif err != nil {\n\t\treturn err\n\t}\n}\n',
    'if err != nil {\n\treturn err\n}',
    'if err != nil {\n\treturn wrap(err)\n}',
    'package m\n\nfunc f() {\n\tif err != nil {\n\t\treturn wrap(err)\n\t}\n}\n',
  ],
  ['Rust', 'rust', 'fn f() { let x = (a + b).g().unwrap(); }', '$X.unwrap()', '$X?', 'fn f() { let x = (a + b).g()?; }'],
  ['Rust macros', 'rust', 'fn f() { println!("{}", a); }', 'println!($$$A)', 'log!($$$A)', 'fn f() { log!("{}", a); }'],
  [
    'Java',
    'java',
    'class A { void m() { System.out.println(a, "b"); } }',
    'System.out.println($$$A)',
    'log.info($$$A)',
    'class A { void m() { log.info(a, "b"); } }',
  ],
  [
    'Java generics',
    'java',
    'class A { List<String> x = new ArrayList<String>(); }',
    'new ArrayList<$T>()',
    'new ArrayList<>()',
    'class A { List<String> x = new ArrayList<>(); }',
  ],
  [
    'TSX',
    'tsx',
    'const a = <Old id={x}>t</Old>;',
    '<Old id={$X}>$$$C</Old>',
    '<New key={$X}>$$$C</New>',
    'const a = <New key={x}>t</New>;',
  ],
];

const REFUSED: readonly (readonly [
  what: string,
  language: string,
  source: string,
  pattern: string,
  to: string,
  reason: string,
])[] = [
  ['nothing matches', 'javascript', 'g(1)', 'f($X)', 'h($X)', 'not_found'],
  ['a result that does not parse', 'javascript', 'f(1)', 'f($X)', 'g($X', 'proof_failed'],
  ['a template that reaches out', 'javascript', 'if (a) f(1); else b()', 'f($X)', 'g($X); } {', 'proof_failed'],
  ['two statements for one', 'javascript', 'if (a) f(1); b()', 'f($X);', 'g($X); h($X);', 'proof_failed'],
  ['a semicolon that would join lines', 'javascript', 'let a = b\nf(1)\n', 'f($X)', '(g)($X)', 'proof_failed'],
  ['an empty Python block', 'python', 'if a:\n    f(1)\nb()\n', 'f($X)', '', 'proof_failed'],
  ['a name that is not there', 'javascript', 'f(1)', 'f($X)', 'g($Y)', 'not_found'],
  ['one made many', 'javascript', 'f(1)', 'f($X)', 'g($$$X)', 'ambiguous'],
  ['one and many of one name', 'javascript', 'f(1)', 'f($X, $$$X)', 'g($X)', 'ambiguous'],
  ['matches that overlap', 'javascript', 'f(f(f(1)))', 'f(f($X))', 'g($X)', 'ambiguous'],
  ['a pattern of nothing', 'javascript', 'f(1)', ' ', 'g', 'empty'],
  ['a pattern of everything', 'javascript', 'f(1)', '$X', 'g', 'ambiguous'],
  ['a pattern that is no code', 'javascript', 'f(1)', 'f(((', 'g', 'does_not_parse'],
  [
    'a duplicate declaration',
    'typescript',
    'function a() {}\nfunction b() {}',
    'function b() {}',
    'function a() {}',
    'proof_failed',
  ],
  ['a language without patterns', 'css', 'a { }', 'a', 'b', 'unsupported'],
];

describe('search', () => {
  it.each(FOUND)('B170: finds %s (%s)', (_, language, source, pattern, texts) => {
    expect(found(language, source, pattern)).toEqual(texts);
  });

  it('B171: metavariables are a dollar and capitals', () => {
    expect(
      segmentsOf('$A.$b($$$, $_, a$C, $$D, $$$E_1)').map((one) =>
        typeof one === 'string' ? one : `<${one.many ? '*' : ''}${one.name}>`,
      ),
    ).toEqual(['<A>', '.$b(', '<*>', ', ', '<>', ', a$C, $$D, ', '<*E_1>', ')']);
    const result = runOperation(engine, { operation: 'search', language: 'js', original: 'f(1, 2)', pattern: 'f($A, $$$R)' });
    expect((result as BoosterSuccess<SearchReport>).output.matches).toMatchObject([
      { variables: { A: { text: '1', start: { column: 3 } }, R: [{ text: '2' }] }, start: { offset: 0 }, end: { offset: 7 } },
    ]);
  });

  it('B172: a search that would take too long is refused', () => {
    const original = `f(${'a,'.repeat(3000)}a)`;
    expect(found('js', original, 'f($$$A, $X, $$$B, $X, $$$C, $X, b)')).toEqual(['budget']);
  });
});

describe('rewrite', () => {
  it.each(REWRITTEN)('B173: %s (%s)', (_, language, source, pattern, to, expected) => {
    expect(output(rewrite(language, source, pattern, to))).toBe(expected);
  });

  it.each(REFUSED)('B174: refused: %s (%s)', (_, language, source, pattern, to, reason) => {
    expect(rewrite(language, source, pattern, to)).toMatchObject({ ok: false, reason });
  });

  it('B175: a rewrite that finds its own result again says so', () => {
    expect(rewrite('js', 'f(1)', 'f($X)', 'g($X)')).toMatchObject({ proofs: expect.arrayContaining(['idempotent']) });
    const again = rewrite('js', 'f(1)', 'f($X)', 'log(f($X))') as BoosterSuccess<string>;
    expect(again.output).toBe('log(f(1))');
    expect(again.proofs).not.toContain('idempotent');
    expect(again.assumed).toHaveLength(1);
  });

  it('B176: what was rewritten is found as the template, and goes back', () => {
    const leaf = fc.constantFrom('a', '1', '"é😀"', 'x.y', 'g(2)', '[1, 2]', '-b');
    const expression = fc.letrec<{ node: string }>((tie) => ({
      node: fc.oneof(
        { maxDepth: 4 },
        leaf,
        fc.tuple(tie('node'), tie('node')).map(([l, r]) => `old(${l}, ${r})`),
        tie('node').map((one) => `(${one} + 1)`),
      ),
    })).node;
    fc.assert(
      fc.property(fc.array(expression, { minLength: 1, maxLength: 5 }), (statements) => {
        const original = statements.map((one) => `${one};\n`).join('');
        const there = rewrite('js', original, 'old($A, $B)', 'fresh($B, $A)');
        if (!there.ok) {
          expect(there.reason).toBe('not_found');
          return;
        }
        const text = there.output as string;
        expect(found('js', text, 'old($$$_A)')).toEqual([]);
        expect(found('js', text, 'fresh($A, $B)')).toHaveLength(original.split('old(').length - 1);
        expect(output(rewrite('js', text, 'fresh($A, $B)', 'old($B, $A)'))).toBe(original);
      }),
      { numRuns: 200 },
    );
  }, 60_000);
});
