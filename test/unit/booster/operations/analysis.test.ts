import { beforeAll, describe, expect, it } from 'vitest';

import type { Engine } from '../../../../wasm/booster/engine.ts';
import { LANGUAGE_IDS, type LanguageId } from '../../../../wasm/booster/languages.ts';
import type { CheckReport } from '../../../../wasm/booster/operations/check.ts';
import type { Metrics } from '../../../../wasm/booster/operations/metrics.ts';
import type { Outline, OutlineSymbol } from '../../../../wasm/booster/operations/outline.ts';
import { Positions, utf8Length } from '../../../../wasm/booster/operations/positions.ts';
import { type QueryReport, unsafeRegex } from '../../../../wasm/booster/operations/query.ts';
import { runOperation } from '../../../../wasm/booster/operations/run.ts';
import type { BoosterRefusal, BoosterSuccess, SyntaxTask } from '../../../../wasm/booster/operations/task.ts';
import { newEngine } from '../../../lib/booster.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await newEngine();
});

// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller says which operation's output it is
function ok<Output>(task: SyntaxTask): Output {
  const result = runOperation(engine, task);
  if (!result.ok) throw new Error(`${result.reason}: ${result.detail}`);
  return (result as BoosterSuccess<Output>).output;
}

const refused = (task: SyntaxTask): BoosterRefusal => runOperation(engine, task) as BoosterRefusal;

const names = (symbols: readonly OutlineSymbol[]): unknown[] =>
  symbols.map(({ kind, name, children }) =>
    children === undefined ? `${kind} ${name}` : [`${kind} ${name}`, ...names(children)],
  );

/** A little of everything in each language, and its outline. */
const SAMPLES: Readonly<Record<LanguageId, readonly [source: string, outline: unknown[]]>> = {
  javascript: [
    'export default class A extends B { #p = 1; static m() { const local = 1 } get x() {} }\nexport const f = async () => {}, n = 1;\nfunction* g() { function inner() {} }\n',
    [['class A', 'field #p', 'method m', 'method x'], 'function f', 'constant n', ['function g', 'function inner']],
  ],
  typescript: [
    'interface I { a: string; m(): void }\ntype T<X> = X[];\nenum E { A }\nnamespace N { export let v = 1 }\nabstract class C { abstract m(): void; @dec() private f?: T<I>; }\ndeclare function h(): void;\n',
    [
      ['interface I', 'field a', 'method m'],
      'type T',
      'enum E',
      ['namespace N', 'variable v'],
      ['class C', 'method m', 'field f'],
      'function h',
    ],
  ],
  tsx: ['export function Page<P>({ a }: P) { return <a href={a}>{a}</a> }\n', ['function Page']],
  python: [
    'x: int = 1\n@dec\nclass A(B):\n    f = 1\n    async def m(self):\n        y = 2\n\ndef g():\n    def h(): pass\ntype T = int\n',
    ['variable x', ['class A', 'field f', 'method m'], ['function g', 'function h'], 'type T'],
  ],
  go: [
    'package m\nconst (\n\tA = iota\n\tB\n)\nvar x, y = 1, 2\ntype S struct {\n\tF, G int `json:"f"`\n}\ntype I interface { M() }\nfunc (s *S) M() {}\nfunc f[T any](x T) { var z int }\n',
    [
      'constant A',
      'constant B',
      'variable x',
      'variable y',
      ['struct S', 'field F', 'field G'],
      ['interface I', 'method M'],
      'method S.M',
      'function f',
    ],
  ],
  rust: [
    'mod m { pub fn g() {} }\npub struct P<T> { x: T }\nenum E { A, B(i32) }\ntrait T { fn f(&self); }\nimpl<T> T for P<T> { fn f(&self) {} }\nimpl P<u8> { const C: u8 = 1; }\nmacro_rules! mm { () => {} }\n',
    [
      ['module m', 'function g'],
      ['struct P', 'field x'],
      ['enum E', 'constant A', 'constant B'],
      ['trait T', 'method f'],
      ['impl T for P<T>', 'method f'],
      ['impl P<u8>', 'constant C'],
      'macro mm',
    ],
  ],
  java: [
    'package p;\n@Ann public class A<T> { private int f = 1, g; A() {} <U> U m(int a) { int l; return null; } enum K { ONE, TWO } record R(int a) {} }\ninterface I { void z(); }\n',
    [
      ['class A', 'field f', 'field g', 'constructor A', 'method m', ['enum K', 'constant ONE', 'constant TWO'], 'record R'],
      ['interface I', 'method z'],
    ],
  ],
  c: [
    '#define M 1\n#define F(x) x\ntypedef struct { int a; } T;\nstruct S { int x; char *y[3]; };\nenum E { A, B };\nstatic int *f(int a) { int l; return 0; }\nint g(void);\nint v = 1, *w;\nstruct S *use;\n',
    [
      'macro M',
      'macro F',
      ['type T', 'field a'],
      ['struct S', 'field x', 'field y'],
      ['enum E', 'constant A', 'constant B'],
      'function f',
      'function g',
      'variable v',
      'variable w',
      'variable use',
    ],
  ],
  cpp: [
    'namespace n { template<typename T> class C : public B { public: C(int a); void m() const {} int f; }; }\nvoid n::C::q() {}\nusing A = int;\n',
    [['namespace n', ['class C', 'method C', 'method m', 'field f']], 'function n::C::q', 'type A'],
  ],
  csharp: [
    'namespace N { public class C<T> : B { int f, g = 1; public int P { get; set; } public C(int a) {} void M() { int L() => 1; } } enum E { A } interface I { void Q(); } record R(int X); }\n',
    [
      [
        'namespace N',
        ['class C', 'field f', 'field g', 'property P', 'constructor C', ['method M', 'function L']],
        ['enum E', 'constant A'],
        ['interface I', 'method Q'],
        'record R',
      ],
    ],
  ],
  ruby: [
    'module M\n class C < B\n  A = 1\n  def m(a); x = 1; end\n  def self.s; end\n end\nend\n',
    [['module M', ['class C', 'constant A', 'method m', 'method s']]],
  ],
  php: [
    '<?php namespace A; function f($a) {}\nclass C { const X = 1; private $p = 1; public function m() {} }\ninterface I { function q(); }\nenum E: int { case A = 1; }\n',
    [
      'namespace A',
      'function f',
      ['class C', 'constant X', 'field $p', 'method m'],
      ['interface I', 'method q'],
      ['enum E', 'constant A'],
    ],
  ],
  bash: ['X=1\nf() { local y=2; z=3; }\nfunction g { :; }\n', ['variable X', 'function f', 'function g']],
  json: ['{"a": {"b": [1, {"c": null}]}, "d": 1}', [['property a', ['property b', 'property c']], 'property d']],
  css: [
    '.a > b, #c { color: red }\n@media (x) { .d { } }\n@keyframes k { from { } }\n',
    ['rule .a > b, #c', ['media @media (x)', 'rule .d'], 'keyframes k'],
  ],
  html: [
    '<!doctype html><html><body id="b"><br><div class=a id=c>t</div><script>var a</script></body></html>',
    [['element html', ['element body#b', 'element br', 'element div#c', 'element script']]],
  ],
};

describe('outline', () => {
  it.each(LANGUAGE_IDS)('B100: the symbols of %s', (language) => {
    const [original, expected] = SAMPLES[language];
    const found = ok<Outline>({ operation: 'outline', language, original });
    expect(names(found.symbols)).toEqual(expected);
    expect(found).toMatchObject({ language, truncated: false, hasErrors: false });
  });

  it('B101: places are counted in lines, UTF-16 units and bytes', () => {
    const [symbol] = ok<Outline>({ operation: 'outline', language: 'js', original: '"é😀";\r\n/*é😀*/function f() {}' }).symbols;
    expect(symbol).toMatchObject({
      start: { line: 2, column: 8, byteColumn: 11, offset: 15, byteOffset: 21 },
      end: { line: 2, column: 23, byteColumn: 26, offset: 30, byteOffset: 36 },
    });
  });

  it('B100: a file past the bound is cut and says so', () => {
    const original = Array.from({ length: 5001 }, (_, index) => `let v${index}`).join('\n');
    const found = ok<Outline>({ operation: 'outline', language: 'js', original });
    expect([found.symbols.length, found.truncated]).toEqual([5000, true]);
  });
});

describe('check', () => {
  it.each(LANGUAGE_IDS)('B105: good code of %s is valid', (language) => {
    expect(ok<CheckReport>({ operation: 'check', language, original: SAMPLES[language][0] })).toEqual({
      language,
      valid: true,
      errors: [],
      errorCount: 0,
    });
    expect(ok<CheckReport>({ operation: 'check', language, original: '' })).toMatchObject({ errorCount: 0 });
  });

  it('B106: an error has its place and text', () => {
    const { errors } = ok<CheckReport>({ operation: 'check', language: 'js', original: 'f("😀");\nconst x = ;\ny();\n' });
    expect(errors).toMatchObject([{ kind: 'unexpected', start: { line: 2, byteOffset: expect.any(Number) } }]);
    const missing = ok<CheckReport>({ operation: 'check', language: 'py', original: 'def f(:\n  pass\n' }).errors;
    expect(missing).toMatchObject([{ kind: 'missing', message: "')' is missing", expected: [')'], text: '' }]);
    const open = ok<CheckReport>({ operation: 'check', language: 'py', original: 'f(1\n' }).errors;
    expect(open).toMatchObject([{ message: "'f(1' is incomplete or misplaced", start: { line: 1, column: 1 } }]);
  });

  it('B106: what was expected is told if the grammar knows', () => {
    const { errors } = ok<CheckReport>({ operation: 'check', language: 'json', original: '{"a": 1,, "b": 2}' });
    expect(errors[0]).toMatchObject({ start: { line: 1, column: 8 } });
    expect(errors[0]?.expected).toContain('"');
    expect(errors[0]?.expected).not.toContain(',');
  });

  it('B106: a Python block without a statement is an error, though the grammar takes it', () => {
    const { errors } = ok<CheckReport>({ operation: 'check', language: 'py', original: 'def f():\n    # later\nif a:\nb()\n' });
    expect(errors.map(({ message, start }) => [message, start.line])).toEqual([
      ['an indented block is missing', expect.any(Number)],
      ['an indented block is missing', expect.any(Number)],
    ]);
  });

  it('B107: no input is too broken for an answer', () => {
    for (const original of [
      '\0\0',
      '\ud800',
      '}'.repeat(200),
      '('.repeat(200),
      '`${'.repeat(50),
      '<?php',
      '\ufefflet a;',
      'é'.repeat(100),
      '"\ud83d',
    ]) {
      for (const language of LANGUAGE_IDS) expect(runOperation(engine, { operation: 'check', language, original }).ok).toBe(true);
    }
    const many = ok<CheckReport>({ operation: 'check', language: 'json', original: '[1 2,'.repeat(2000) });
    expect(many.errors.length).toBeLessThanOrEqual(100);
    expect(many.valid).toBe(false);
  }, 30_000);
});

describe('query', () => {
  const original = 'def f(a):\n    return "é😀", g(a)\ndef g(): pass\n';

  it('B110: matches have their captures with text and place', () => {
    const { matches } = ok<QueryReport>({
      operation: 'query',
      language: 'python',
      original,
      query: '(call function: (identifier) @fn arguments: (_) @args)\n(string) @s',
    });
    expect(matches.map(({ pattern, captures }) => [pattern, ...captures.map(({ name, text }) => `${name} ${text}`)])).toEqual([
      [1, 's "é😀"'],
      [0, 'fn g', 'args (a)'],
    ]);
    expect(matches[1]?.captures[0]?.start).toMatchObject({ line: 2, column: 19, byteColumn: 22 });
  });

  it('B110: predicates are obeyed', () => {
    const query = '((identifier) @i (#match? @i "^[fg]$"))';
    expect(ok<QueryReport>({ operation: 'query', language: 'python', original, query }).matches).toHaveLength(3);
    expect(
      ok<QueryReport>({ operation: 'query', language: 'python', original, query: '((identifier) @i (#eq? @i "a"))' }).matches,
    ).toHaveLength(2);
  });

  it('B111: a bad query is refused with the place of its fault', () => {
    const at = (query: string): readonly unknown[] => {
      const { ok: good, reason, at: place } = refused({ operation: 'query', language: 'python', original, query });
      return [good, reason, place?.line, place?.column];
    };
    expect(at('(call)\n(nonsense) @x')).toEqual([false, 'does_not_parse', 2, 2]);
    expect(at('(call fn: (_))')).toEqual([false, 'does_not_parse', 1, 7]);
    expect(at('(call')).toEqual([false, 'does_not_parse', 1, expect.any(Number)]);
    expect(at('((call) @a (#eq? @b "x"))')).toEqual([false, 'does_not_parse', 1, expect.any(Number)]);
    expect(at('((call) @a (#match? @a "("))').slice(0, 2)).toEqual([false, 'does_not_parse']);
    expect(at('((call) @a (#eq? @a))').slice(0, 2)).toEqual([false, 'does_not_parse']);
    expect(at('  ')).toEqual([false, 'empty', undefined, undefined]);
    expect(at('(a)'.repeat(6000)).slice(0, 2)).toEqual([false, 'too_large']);
  });

  it('B112: matches are bounded', () => {
    const report = ok<QueryReport>({ operation: 'query', language: 'js', original: 'a;'.repeat(3000), query: '(identifier) @i' });
    expect([report.matches.length, report.truncated]).toEqual([2000, true]);
    const nested = ok<QueryReport>({
      operation: 'query',
      language: 'js',
      original: `${'['.repeat(3000)}${']'.repeat(3000)}`,
      query: '(array) @a',
    });
    expect(nested.truncated).toBe(true);
  });

  it('B113: a regular expression that could take forever is refused', () => {
    for (const regex of ['(a+)+$', '(a|a)*', '((a*)b?)*', '(.*)*', '\\\\1', '.*.*.*.*x', '(?:a{2,})+', '([ab]|c)+'])
      expect([regex, unsafeRegex(`(#match? @x "${regex}")`)]).toEqual([regex, `"${regex}"`]);
    for (const regex of ['^(foo|bar)$', '[+*]+', '^[A-Z][A-Za-z0-9_]*$', '\\\\(a\\\\+', 'a{2,3}', '(ab)+'])
      expect(unsafeRegex(`(#match? @x "${regex}")`)).toBeNull();
    expect(
      refused({
        operation: 'query',
        language: 'js',
        original: `"${'a'.repeat(5000)}!"`,
        query: '((string) @s (#match? @s "^\\"(a+)+$"))',
      }),
    ).toMatchObject({ reason: 'budget' });
  });
});

describe('metrics', () => {
  const of = (language: string, original: string): Metrics => ok<Metrics>({ operation: 'metrics', language, original });

  it('B115: lines are code, comment or blank, or code and comment', () => {
    const found = of('js', '// a\n\nlet a; // b\n/* c\n\n   d */\nlet s = `x\n\ny`;\n');
    expect(found.lines).toEqual({ total: 9, code: 3, comment: 4, blank: 3 });
    expect(found.commentRatio).toBe(0.6667);
    expect(of('js', '')).toMatchObject({ bytes: 0, lines: { total: 0, code: 0, comment: 0, blank: 0 }, commentRatio: 0 });
    expect(of('js', 'let é = "😀"\r\n')).toMatchObject({ bytes: 17, lines: { total: 1, code: 1 } });
  });

  /** Complexity, nesting and parameters of the first function. */
  const CASES: readonly (readonly [LanguageId, string, readonly [number, number, number]])[] = [
    [
      'javascript',
      'function f(a, { b }, ...c) { if (a && b || c) { for (;;) {} } else if (d) {} else {} switch (x) { case 1: case 2: default: } return a ? b : c ?? d }',
      [10, 2, 3],
    ],
    ['typescript', 'const f = (a: A): B => { try { while (a) { do {} while (b) } } catch (e) {} }', [4, 3, 1]],
    ['tsx', 'function F({ a }) { return a && <b>{xs.map(x => x || 1)}</b> }', [2, 0, 1]],
    [
      'python',
      'def f(self, a, *, b=1, **k):\n    if a and b or c:\n        for x in y:\n            pass\n    elif d:\n        pass\n    try:\n        z = [i for i in j if i]\n    except E:\n        pass\n    match q:\n        case 1: pass\n        case _: pass\n',
      [10, 2, 4],
    ],
    [
      'go',
      'package m\nfunc f(a, b int, c string) { if a > b && c == "" { for range x {} } else if d {} ; switch e { case 1, 2: default: }; select { case <-ch: } }',
      [7, 2, 3],
    ],
    [
      'rust',
      'fn f(a: u8, b: u8) { if a > b { while let Some(x) = y { loop {} } } else if c || d {} match e { 1 | 2 => 3, _ if g => 4, _ => 5 }; }',
      [7, 3, 2],
    ],
    [
      'java',
      'class A { int f(int a, String... b) { if (a) { for (int i : x) {} } switch (a) { case 1: break; default: } try {} catch (E e) {} return a ? b : c; } }',
      [6, 2, 2],
    ],
    [
      'c',
      'int *f(int a, char **b) { if (a && b) return 0; for (;;) { while (1) {} } switch (a) { case 1: break; default: ; } return a ? 1 : 2; }',
      [7, 2, 2],
    ],
    ['cpp', 'void A::f(void) { for (auto a : b) {} try {} catch (...) {} }', [3, 1, 0]],
    [
      'csharp',
      'class C { void M(int a) { foreach (var x in y) { if (x) {} } var z = a switch { 1 => 2, _ => 3 }; a ??= b; } }',
      [5, 2, 1],
    ],
    [
      'ruby',
      'def m(a, b = 1)\n  if a && b\n    x unless y\n  elsif c\n  end\n  case z\n  when 1 then 2\n  else 3\n  end\nend\n',
      [6, 1, 2],
    ],
    [
      'php',
      '<?php function f($a) { if ($a) {} elseif ($b) {} foreach ($a as $b) {} return match($a) { 1 => 2, default => 3 } ?? $c; }',
      [6, 1, 1],
    ],
    [
      'bash',
      'f() { if a && b; then c; elif d; then e; fi; case $x in a) ;; *) ;; esac; for i in 1; do while true; do :; done; done; }',
      [7, 2, 0],
    ],
  ];

  it.each(CASES)('B116: complexity, nesting and parameters in %s', (language, original, expected) => {
    const [first] = of(language, original).functions;
    expect([first?.complexity, first?.nesting, first?.parameters]).toEqual(expected);
  });

  it('B117: a function in a function counts for itself', () => {
    const found = of('js', 'function a() { if (x) {} const b = () => { if (y) { if (z) {} } }; }\nif (q) {}\n');
    expect(found.functions.map(({ name, complexity, nesting }) => [name, complexity, nesting])).toEqual([
      ['a', 2, 1],
      ['b', 3, 2],
    ]);
    expect(found).toMatchObject({ functionCount: 2, complexity: 6, maxComplexity: 3, maxNesting: 2 });
  });

  it.each(LANGUAGE_IDS)('B117: every language has metrics: %s', (language) => {
    expect(of(language, SAMPLES[language][0])).toMatchObject({ language, errorCount: 0 });
  });
});

describe('every operation', () => {
  it('B120: a language is named, or known by the path', () => {
    expect(ok<Outline>({ operation: 'outline', path: 'a/b.test.TSX', original: '' }).language).toBe('tsx');
    expect(ok<Outline>({ operation: 'outline', language: 'Python3', path: 'x.js', original: '' }).language).toBe('python');
    expect(refused({ operation: 'outline', path: 'x.cobol', original: '' })).toMatchObject({ ok: false, reason: 'unsupported' });
    expect(refused({ operation: 'outline', original: '' })).toMatchObject({ reason: 'unsupported' });
  });

  it('B121: a source past the limit is refused before it is parsed', () => {
    expect(refused({ operation: 'check', language: 'js', original: ' '.repeat(256 * 1024 + 1) })).toMatchObject({
      reason: 'too_large',
    });
    const half = 'a\n'.repeat(70_000);
    expect(refused({ operation: 'diff', original: half.repeat(2), edit: '' })).toMatchObject({ reason: 'too_large' });
  });

  it('B122: code nested without end is refused or answered, and the engine lives', () => {
    const deep = `${'f('.repeat(2_000)}1${')'.repeat(2_000)}`;
    for (const operation of ['outline', 'check', 'metrics'] as const)
      expect(runOperation(engine, { operation, language: 'js', original: deep })).toHaveProperty('ok');
    expect(
      runOperation(engine, { operation: 'rename', language: 'js', original: `let a = ${deep}`, position: 4, rewrite: 'b' }),
    ).toMatchObject({ reason: 'too_large' });
    expect(runOperation(engine, { operation: 'search', language: 'js', original: deep, pattern: 'f(f($X))' })).toHaveProperty(
      'ok',
    );
    expect(engine.taint).toBeNull();
  }, 30_000);

  it('B101: positions of any text go forth and back', () => {
    const text = 'é😀\r\n\n\ud800x\t\n';
    const positions = new Positions(text);
    for (let offset = 0; offset <= text.length; offset++) {
      const { line, column, byteOffset } = positions.full(offset);
      expect(positions.offsetOf({ line, column })).toBe(offset);
      if (!/[\ud800-\udbff]$/.test(text.slice(0, offset)))
        expect(byteOffset).toBe(new TextEncoder().encode(text.slice(0, offset)).length);
    }
    expect(positions.offsetOf({ line: 1, column: 6 })).toBeNull();
    expect(utf8Length(text)).toBe(new TextEncoder().encode(text).length);
  });
});
