import { beforeAll, describe, expect, it } from 'vitest';

import type { Engine } from '../../../../wasm/booster/engine.ts';
import { runOperation } from '../../../../wasm/booster/operations/run.ts';
import type { BoosterRefusal, BoosterResult, BoosterSuccess } from '../../../../wasm/booster/operations/task.ts';
import { newEngine } from '../../../lib/booster.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await newEngine();
});

/** `¦` marks the position. */
function rename(language: string, marked: string, to: string): BoosterResult {
  const offset = marked.indexOf('¦');
  const original = marked.replace('¦', '');
  return runOperation(engine, { operation: 'rename', language, original, position: offset, rewrite: to });
}

const output = (result: BoosterResult): unknown => (result.ok ? result.output : `${result.reason}: ${result.detail}`);

/** [what, language, source, new name, result] */
type Case = readonly [what: string, language: string, source: string, to: string, expected: string];

const RENAMED: readonly Case[] = [
  [
    'a function and its calls',
    'javascript',
    'function ¦add(a) { return a }\nadd(1); x.add(2);',
    'sum',
    'function sum(a) { return a }\nsum(1); x.add(2);',
  ],
  ['the inner of two', 'javascript', 'let x = 1; { let ¦x = 2; f(x); } g(x);', 'y', 'let x = 1; { let y = 2; f(y); } g(x);'],
  ['the outer of two', 'javascript', 'let ¦x = 1; { let x = 2; f(x); } g(x);', 'y', 'let y = 1; { let x = 2; f(x); } g(y);'],
  [
    'a shorthand property',
    'javascript',
    'function f(¦a) { return { a, b: a, a: 1 } }',
    'z',
    'function f(z) { return { a: z, b: z, a: 1 } }',
  ],
  [
    'a destructured name',
    'javascript',
    'const { ¦a, b: { c = 1 } } = o; use(a, o.a);',
    'z',
    'const { a: z, b: { c = 1 } } = o; use(z, o.a);',
  ],
  [
    'a destructured default',
    'javascript',
    'function f({ ¦a = 1, ...r }) { return a + r.a }',
    'z',
    'function f({ a: z = 1, ...r }) { return z + r.a }',
  ],
  ['an assignment pattern', 'javascript', 'let ¦a, b; ({ a, b } = o); [a] = p;', 'z', 'let z, b; ({ a: z, b } = o); [z] = p;'],
  ['an import', 'javascript', 'import { ¦a, b as c } from "m"; a(c);', 'z', 'import { a as z, b as c } from "m"; z(c);'],
  ['an import alias', 'javascript', 'import { b as ¦c } from "m"; c();', 'z', 'import { b as z } from "m"; z();'],
  [
    'a default and a namespace import',
    'javascript',
    'import ¦d, * as n from "m"; d(n.d);',
    'z',
    'import z, * as n from "m"; z(n.d);',
  ],
  [
    'what is exported under another name',
    'javascript',
    'const ¦a = 1; export { a as b };',
    'z',
    'const z = 1; export { z as b };',
  ],
  [
    'a default export',
    'javascript',
    'export default function ¦f() { return f }',
    'g',
    'export default function g() { return g }',
  ],
  [
    'var out of a block',
    'javascript',
    'function f() { if (x) { var ¦a = 1 } return a } a;',
    'z',
    'function f() { if (x) { var z = 1 } return z } a;',
  ],
  [
    'a default value that sees past the body',
    'javascript',
    'let x = 1; function f(a = x) { var ¦x = 2; return x }',
    'y',
    'let x = 1; function f(a = x) { var y = 2; return y }',
  ],
  ['var of a parameter’s name', 'javascript', 'function f(¦a) { var a; return a }', 'z', 'function f(z) { var z; return z }'],
  [
    'a named function expression',
    'javascript',
    'const g = function ¦f() { return f() }; f();',
    'h',
    'const g = function h() { return h() }; f();',
  ],
  [
    'a catch parameter',
    'javascript',
    'try {} catch (¦e) { log(e, { e }) }',
    'err',
    'try {} catch (err) { log(err, { e: err }) }',
  ],
  ['a loop variable', 'javascript', 'for (const ¦i of is) { f(i) } i;', 'j', 'for (const j of is) { f(j) } i;'],
  [
    'a private member',
    'javascript',
    'class A { #¦p = 1; m() { return this.#p + o.#p } }',
    'q',
    'class A { #q = 1; m() { return this.#q + o.#q } }',
  ],
  [
    'nested templates',
    'javascript',
    'const ¦a = 1; t`${a} ${`${a + `${a}`}`} a`;',
    'z',
    'const z = 1; t`${z} ${`${z + `${z}`}`} a`;',
  ],
  [
    'past astral characters',
    'javascript',
    '"😀"; const ¦a = "é"; f("😀", a);\r\n\tg(a);\r\n',
    'zz',
    '"😀"; const zz = "é"; f("😀", zz);\r\n\tg(zz);\r\n',
  ],
  [
    'labels of the same name',
    'javascript',
    'a: for (;;) { let ¦a = 1; f(a); break a }',
    'z',
    'a: for (;;) { let z = 1; f(z); break a }',
  ],
  ['an arrow parameter', 'javascript', 'xs.map(¦x => x.x + x)', 'y', 'xs.map(y => y.x + y)'],
  [
    'a component',
    'tsx',
    'const ¦Box = () => <p/>; const e = <Box a={Box}><Box.Item/></Box>;',
    'Card',
    'const Card = () => <p/>; const e = <Card a={Card}><Card.Item/></Card>;',
  ],
  [
    'a prop value',
    'tsx',
    'function F({ ¦a }: P) { return <a href={a}>{a}</a> }',
    'z',
    'function F({ a: z }: P) { return <a href={z}>{z}</a> }',
  ],
  [
    'a type parameter',
    'typescript',
    'function f<¦T extends U<T>>(a: T, T: number): Array<T> { return T as T }',
    'X',
    'function f<X extends U<X>>(a: X, T: number): Array<X> { return T as X }',
  ],
  ['a type, not the value', 'typescript', 'type ¦A = 1; const b: A = f(x.A);', 'B', 'type B = 1; const b: B = f(x.A);'],
  [
    'a class as type and value',
    'typescript',
    '@dec() class ¦A<T> { a?: A<T>; static n = new A() }',
    'B',
    '@dec() class B<T> { a?: B<T>; static n = new B() }',
  ],
  [
    'overloads',
    'typescript',
    'function ¦f(a: string): void;\nfunction f(a: number): void;\nfunction f(a: any) { f(a) }',
    'g',
    'function g(a: string): void;\nfunction g(a: number): void;\nfunction g(a: any) { g(a) }',
  ],
  [
    'a parameter in a predicate',
    'typescript',
    'function f(¦a: unknown): a is string { return typeof a === "string" }',
    'z',
    'function f(z: unknown): z is string { return typeof z === "string" }',
  ],
  [
    'typeof in a type',
    'typescript',
    'const ¦a = 1; type T = typeof a; type M = { [K in keyof T]: T[K] };',
    'z',
    'const z = 1; type T = typeof z; type M = { [K in keyof T]: T[K] };',
  ],
  [
    'an inferred type',
    'typescript',
    'type F<T> = T extends (infer ¦R)[] ? R : never; type R = 1;',
    'Q',
    'type F<T> = T extends (infer Q)[] ? Q : never; type R = 1;',
  ],
  ['a mapped key', 'typescript', 'type M<T> = { [¦K in keyof T]: T[K] };', 'P', 'type M<T> = { [P in keyof T]: T[P] };'],
  [
    'a type import',
    'typescript',
    'import { type ¦A, B } from "m"; let a: A;',
    'Z',
    'import { type A as Z, B } from "m"; let a: Z;',
  ],
  ['an enum', 'typescript', 'enum ¦E { A = 1, B = A } const x: E = E.A;', 'F', 'enum F { A = 1, B = A } const x: F = F.A;'],
  [
    'a local',
    'python',
    'x = 1\ndef f():\n    ¦x = 2\n    return x\nprint(x)\n',
    'y',
    'x = 1\ndef f():\n    y = 2\n    return y\nprint(x)\n',
  ],
  [
    'a global',
    'python',
    '¦x = 1\ndef f():\n    global x\n    x += 1\n    o.x = x\n',
    'y',
    'y = 1\ndef f():\n    global y\n    y += 1\n    o.x = y\n',
  ],
  [
    'a nonlocal',
    'python',
    'def f():\n    ¦n = 0\n    def g():\n        nonlocal n\n        n += 1\n    return n\n',
    'm',
    'def f():\n    m = 0\n    def g():\n        nonlocal m\n        m += 1\n    return m\n',
  ],
  [
    'f-strings',
    'python',
    'def f(¦a):\n    return f"{a} a {a!r:>{a}} {g(f\'{a}\')}"\n',
    'zz',
    'def f(zz):\n    return f"{zz} a {zz!r:>{zz}} {g(f\'{zz}\')}"\n',
  ],
  ['a comprehension', 'python', 'i = [i]\nys = [f(¦i) for i in i if i]\n', 'j', 'i = [i]\nys = [f(j) for j in i if j]\n'],
  [
    'past a class attribute',
    'python',
    '¦a = 1\nclass C:\n    a = 2\n    def m(self):\n        return a, self.a\n',
    'b',
    'b = 1\nclass C:\n    a = 2\n    def m(self):\n        return b, self.a\n',
  ],
  [
    'an import',
    'python',
    'from m import ¦a, b as c\nimport d.e\na(c, d)\n',
    'z',
    'from m import a as z, b as c\nimport d.e\nz(c, d)\n',
  ],
  ['a module import', 'python', 'import ¦os\nos.path\n', 'o', 'import os as o\no.path\n'],
  [
    'a parameter beside a keyword of another call',
    'python',
    'def read(¦mode):\n    return open(p, mode=mode)\n',
    'm',
    'def read(m):\n    return open(p, mode=m)\n',
  ],
  [
    'decorators and defaults',
    'python',
    'd = 1\n@dec(d)\ndef f(¦d=d, *, k=d):\n    return d\n',
    'e',
    'd = 1\n@dec(d)\ndef f(e=d, *, k=d):\n    return e\n',
  ],
  [
    'a with target and a walrus',
    'python',
    'def f():\n    with o() as ¦h:\n        if (n := h.h):\n            return n, h\n',
    'g',
    'def f():\n    with o() as g:\n        if (n := g.h):\n            return n, g\n',
  ],
  [
    'a capture pattern',
    'python',
    'def f(p):\n    match p:\n        case P(x=0, y=¦v) if v:\n            return v\n        case A.v:\n            pass\n',
    'w',
    'def f(p):\n    match p:\n        case P(x=0, y=w) if w:\n            return w\n        case A.v:\n            pass\n',
  ],
  [
    'an except name',
    'python',
    'try:\n    pass\nexcept (A, B) as ¦e:\n    raise C from e\n',
    'err',
    'try:\n    pass\nexcept (A, B) as err:\n    raise C from err\n',
  ],
  ['a lambda', 'python', 'f = lambda ¦a, b=1: a + b\n', 'z', 'f = lambda z, b=1: z + b\n'],
  [
    'a type parameter',
    'python',
    'def f[¦T](a: T) -> T:\n    b: T = a\n    return b\n',
    'U',
    'def f[U](a: U) -> U:\n    b: U = a\n    return b\n',
  ],
  [
    'the inner of a := chain',
    'go',
    'package m\nfunc f() {\n\tx := 1\n\tif ¦x := g(x); x > 0 {\n\t\th(x)\n\t}\n\th(x)\n}\n',
    'y',
    'package m\nfunc f() {\n\tx := 1\n\tif y := g(x); y > 0 {\n\t\th(y)\n\t}\n\th(x)\n}\n',
  ],
  [
    'a reused err',
    'go',
    'package m\nfunc f() error {\n\ta, ¦err := g()\n\tb, err := h(a)\n\tuse(b)\n\treturn err\n}\n',
    'e',
    'package m\nfunc f() error {\n\ta, e := g()\n\tb, e := h(a)\n\tuse(b)\n\treturn e\n}\n',
  ],
  [
    'struct fields stay',
    'go',
    'package m\ntype T struct { a int `json:"a"` }\nfunc f(¦a int) T {\n\tt := T{a: a}\n\tt.a = a\n\treturn t\n}\n',
    'z',
    'package m\ntype T struct { a int `json:"a"` }\nfunc f(z int) T {\n\tt := T{a: z}\n\tt.a = z\n\treturn t\n}\n',
  ],
  [
    'a map key',
    'go',
    'package m\nfunc f(¦k string) map[string]int {\n\treturn map[string]int{k: 1}\n}\n',
    'key',
    'package m\nfunc f(key string) map[string]int {\n\treturn map[string]int{key: 1}\n}\n',
  ],
  [
    'a receiver',
    'go',
    'package m\nfunc (¦t *T) M() int { return t.t + len(t.x) }\n',
    'self',
    'package m\nfunc (self *T) M() int { return self.t + len(self.x) }\n',
  ],
  [
    'a package-level function',
    'go',
    'package m\nfunc ¦add(a int) int { return a }\nfunc f() { x := add; _ = x(add(1)) }\n',
    'sum',
    'package m\nfunc sum(a int) int { return a }\nfunc f() { x := sum; _ = x(sum(1)) }\n',
  ],
  [
    'a generic type',
    'go',
    'package m\ntype ¦list[T any] struct { next *list[T] }\nfunc (l *list[T]) f(x T) *list[T] { return &list[T]{next: l} }\n',
    'node',
    'package m\ntype node[T any] struct { next *node[T] }\nfunc (l *node[T]) f(x T) *node[T] { return &node[T]{next: l} }\n',
  ],
  [
    'a type switch',
    'go',
    'package m\nfunc f(v any) {\n\tswitch ¦v := v.(type) {\n\tcase int:\n\t\tg(v)\n\t}\n\th(v)\n}\n',
    'w',
    'package m\nfunc f(v any) {\n\tswitch w := v.(type) {\n\tcase int:\n\t\tg(w)\n\t}\n\th(v)\n}\n',
  ],
  [
    'a range variable',
    'go',
    'package m\nfunc f(xs []int) {\n\tfor i, ¦x := range xs {\n\t\tg(i, x)\n\t}\n}\n',
    'y',
    'package m\nfunc f(xs []int) {\n\tfor i, y := range xs {\n\t\tg(i, y)\n\t}\n}\n',
  ],
  [
    'one let of several',
    'rust',
    'fn f() { let x = 1; let ¦x = x + 1; let y = x; { let x = 3; g(x); } g(x) }',
    'z',
    'fn f() { let x = 1; let z = x + 1; let y = z; { let x = 3; g(x); } g(z) }',
  ],
  ['a field shorthand', 'rust', 'fn f(¦x: i32) -> P { P { x, y: x } }', 'z', 'fn f(z: i32) -> P { P { x: z, y: z } }'],
  [
    'a pattern shorthand',
    'rust',
    'fn f(p: P) { let P { ¦x, .. } = p; g(x, p.x); }',
    'z',
    'fn f(p: P) { let P { x: z, .. } = p; g(z, p.x); }',
  ],
  [
    'format arguments',
    'rust',
    'fn f(¦x: i32) { println!("{x:?} {{x}} x {}", x + g(x)); let v = vec![x; 2]; assert_eq!(x, 1, "x {x}"); }',
    'zz',
    'fn f(zz: i32) { println!("{zz:?} {{x}} x {}", zz + g(zz)); let v = vec![zz; 2]; assert_eq!(zz, 1, "x {zz}"); }',
  ],
  [
    'a match arm',
    'rust',
    'fn f(e: E) -> i32 { match e { E::A(¦x) if x > 0 => x, E::B { x } | E::C(x) => x, None => 0 } }',
    'n',
    'fn f(e: E) -> i32 { match e { E::A(n) if n > 0 => n, E::B { x } | E::C(x) => x, None => 0 } }',
  ],
  [
    'if let',
    'rust',
    'fn f(x: O) { if let Some(¦x) = x { g(x) } else { h(x) } }',
    'y',
    'fn f(x: O) { if let Some(y) = x { g(y) } else { h(x) } }',
  ],
  [
    'a private function',
    'rust',
    'fn ¦helper<T>(t: T) {}\nfn main() { helper::<u8>(1); x.helper(); Y::helper(); }',
    'aid',
    'fn aid<T>(t: T) {}\nfn main() { aid::<u8>(1); x.helper(); Y::helper(); }',
  ],
  [
    'a struct',
    'rust',
    "#[derive(Debug)]\nstruct ¦P<'a> { x: &'a str }\nimpl<'a> P<'a> { fn new(x: &'a str) -> P<'a> { P { x } } }\nfn f() { P::new(\"P\"); }",
    'Q',
    "#[derive(Debug)]\nstruct Q<'a> { x: &'a str }\nimpl<'a> Q<'a> { fn new(x: &'a str) -> Q<'a> { Q { x } } }\nfn f() { Q::new(\"P\"); }",
  ],
  [
    'a use',
    'rust',
    'use std::fmt::{self, ¦Display};\nfn f(d: &dyn Display) -> fmt::Result { todo!() }',
    'Show',
    'use std::fmt::{self, Display as Show};\nfn f(d: &dyn Show) -> fmt::Result { todo!() }',
  ],
  [
    'a closure parameter',
    'rust',
    'fn f(a: i32) { let g = |¦a: i32, &b| a + b; g(a, &a); }',
    'z',
    'fn f(a: i32) { let g = |z: i32, &b| z + b; g(a, &a); }',
  ],
  [
    'a local',
    'java',
    'class A { int x; int m(int y) { int ¦x = y; this.x = x; return x + o.x; } }',
    'z',
    'class A { int x; int m(int y) { int z = y; this.x = z; return z + o.x; } }',
  ],
  [
    'a private field',
    'java',
    'class A { private int ¦f = 1; @Override int m(int g) { return f + this.f + g; } }',
    'h',
    'class A { private int h = 1; @Override int m(int g) { return h + this.h + g; } }',
  ],
  [
    'a private method',
    'java',
    'class A { private int ¦f(int f) { return f; } int m() { return f(this.f(1)); } }',
    'g',
    'class A { private int g(int f) { return f; } int m() { return g(this.g(1)); } }',
  ],
  [
    'a lambda parameter',
    'java',
    'class A { F f = (¦x, y) -> x + y; G g = k -> k; }',
    'z',
    'class A { F f = (z, y) -> z + y; G g = k -> k; }',
  ],
  [
    'a generic parameter',
    'java',
    'class A { <¦T extends B<T>> T m(T t, java.util.List<? super T> l) { T x = t; return x; } }',
    'U',
    'class A { <U extends B<U>> U m(U t, java.util.List<? super U> l) { U x = t; return x; } }',
  ],
  [
    'a resource and a catch',
    'java',
    'class A { void m() { try (R ¦r = o()) { r.r(); } catch (E e) { e.p(); } } }',
    's',
    'class A { void m() { try (R s = o()) { s.r(); } catch (E e) { e.p(); } } }',
  ],
  [
    'a pattern variable',
    'java',
    'class A { int m(Object o) { if (o instanceof String ¦s && s.length() > 1) { return s.s; } return 0; } }',
    't',
    'class A { int m(Object o) { if (o instanceof String t && t.length() > 1) { return t.s; } return 0; } }',
  ],
];

const REFUSED: readonly (readonly [what: string, language: string, source: string, to: string, reason: string])[] = [
  ['exported', 'javascript', 'export const ¦a = 1;', 'b', 'ambiguous'],
  ['exported by a list', 'javascript', 'const ¦a = 1; export { a };', 'b', 'ambiguous'],
  ['exported destructured', 'javascript', 'export const { ¦a } = o;', 'b', 'ambiguous'],
  ['eval', 'javascript', 'function f(¦a) { return eval("a") }', 'b', 'ambiguous'],
  ['with', 'javascript', 'var ¦a; with (o) { a }', 'b', 'ambiguous'],
  ['a global property', 'javascript', 'var ¦a = 1; window.a;', 'b', 'ambiguous'],
  ['taken in the scope', 'javascript', 'let ¦a, b;', 'b', 'ambiguous'],
  ['captured by an inner one', 'javascript', 'let ¦a; function f(b) { return a + b }', 'b', 'ambiguous'],
  ['captures an outer one', 'javascript', 'let b; function f(¦a) { return a + b }', 'b', 'ambiguous'],
  ['captures a global', 'javascript', 'function f(¦a) { return a + name }', 'name', 'ambiguous'],
  ['a let beside a var', 'javascript', 'function f() { { let b; { var ¦a } } }', 'b', 'ambiguous'],
  ['a var in the let’s block', 'javascript', 'function f() { { let ¦a; { var b } } }', 'b', 'ambiguous'],
  ['a parameter beside a let', 'javascript', 'function f(¦a) { let b }', 'b', 'ambiguous'],
  ['a property', 'javascript', 'o.¦a = 1; let a;', 'b', 'ambiguous'],
  ['a method', 'javascript', 'class A { ¦m() {} }', 'n', 'ambiguous'],
  ['not declared here', 'javascript', 'f(¦a)', 'b', 'ambiguous'],
  ['nothing there', 'javascript', 'f(1)¦ ; // x', 'b', 'not_found'],
  ['a keyword', 'javascript', 'let ¦a;', 'class', 'not_code'],
  ['code as a name', 'javascript', 'let ¦a;', 'b; evil()', 'not_code'],
  ['a broken file', 'javascript', 'let ¦a = ;', 'b', 'does_not_parse'],
  ['a small tag', 'tsx', 'const ¦Box = 1; <Box/>;', 'box', 'ambiguous'],
  ['a parameter property', 'typescript', 'class A { constructor(private ¦a: number) {} }', 'b', 'ambiguous'],
  ['declared elsewhere', 'typescript', 'declare const ¦a: number; a;', 'b', 'ambiguous'],
  ['an enum member', 'typescript', 'enum E { ¦A, B = A }', 'C', 'ambiguous'],
  ['a function in a block seen outside', 'javascript', '{ function ¦f() {} } f();', 'g', 'ambiguous'],
  ['a class attribute', 'python', 'class C:\n    ¦a = 1\n', 'b', 'ambiguous'],
  ['a method', 'python', 'class C:\n    def ¦m(self): pass\n', 'n', 'ambiguous'],
  ['passed by name', 'python', 'def f(¦a): return a\nf(a=1)\n', 'b', 'ambiguous'],
  ['passed by name to a constructor', 'python', 'class C:\n    def __init__(self, ¦a): pass\nC(a=1)\n', 'b', 'ambiguous'],
  ['locals()', 'python', 'def f(¦a): return locals()\n', 'b', 'ambiguous'],
  ['a quoted annotation', 'python', 'class ¦A: pass\ndef f(a: "List[A]"): pass\n', 'B', 'ambiguous'],
  ['import a.b', 'python', 'import ¦a.b\na.b\n', 'c', 'ambiguous'],
  ['mangled', 'python', 'def f(¦a): return a\n', '__b', 'ambiguous'],
  ['a builtin in use', 'python', 'def f(¦a): return len(a)\n', 'len', 'ambiguous'],
  ['exported', 'go', 'package m\nfunc ¦Add() {}\n', 'Sum', 'ambiguous'],
  ['would be exported', 'go', 'package m\nfunc ¦add() {}\n', 'Add', 'ambiguous'],
  ['main', 'go', 'package main\nfunc ¦main() {}\n', 'run', 'ambiguous'],
  ['a key of an unknown literal', 'go', 'package m\nfunc f(¦a int) { _ = p.T{a: 1} }\n', 'b', 'ambiguous'],
  ['embedded', 'go', 'package m\ntype ¦t struct{}\ntype u struct{ t }\n', 'v', 'ambiguous'],
  ['an import by its path', 'go', 'package m\nimport "fmt"\nfunc f() { ¦fmt.Println() }\n', 'x', 'ambiguous'],
  ['pub', 'rust', 'pub fn ¦f() {}', 'g', 'ambiguous'],
  ['in an unknown macro', 'rust', 'fn f(¦x: i32) { my!(x) }', 'y', 'ambiguous'],
  ['the new name in an unknown macro', 'rust', 'fn f(¦x: i32) { my!(y); g(x) }', 'y', 'ambiguous'],
  ['a format argument', 'rust', 'fn f(¦x: i32) { println!("{x}", x = 1) }', 'y', 'ambiguous'],
  ['a path to it', 'rust', 'fn ¦f() {}\nmod m { fn g() { super::f() } }', 'h', 'ambiguous'],
  ['serde by name', 'rust', 'fn ¦d() {}\nstruct S { #[serde(default = "d")] x: u8 }', 'e', 'ambiguous'],
  ['a constant by its capital', 'rust', 'fn f() { let ¦x = 1; g(x) }', 'X', 'ambiguous'],
  ['a public method', 'java', 'class A { public int ¦m() { return 1; } }', 'n', 'ambiguous'],
  [
    'a private field of another object',
    'java',
    'class A { private int ¦f; boolean e(A o) { return o.f == f; } }',
    'g',
    'ambiguous',
  ],
  ['a method reference', 'java', 'class A { private int ¦f(int a) { return a; } F g = this::f; }', 'h', 'ambiguous'],
  ['a local that would hide one', 'java', 'class A { void m(int b) { for (int ¦a = 0;;) { f(a); } } }', 'b', 'ambiguous'],
  [
    'past an inheriting class',
    'java',
    'class A { private int ¦f; class B extends C { int m() { return f; } } }',
    'g',
    'ambiguous',
  ],
  ['no scopes for it', 'css', '.¦a { }', 'b', 'unsupported'],
];

describe('rename', () => {
  it.each(RENAMED)('B130: %s (%s)', (_, language, source, to, expected) => {
    expect(output(rename(language, source, to))).toBe(expected);
  });

  it.each(REFUSED)('B131: refused: %s (%s)', (_, language, source, to, reason) => {
    expect(rename(language, source, to)).toMatchObject({ ok: false, reason });
  });

  it('B132: there and back again is the same text', () => {
    for (const [what, language, source, , expected] of RENAMED) {
      // A shorthand that was written out stays written out.
      if (/shorthand|destructured|assignment pattern|catch parameter|import|prop value|a use$/.test(what)) continue;
      const offset = source.indexOf('¦');
      const original = source.replace('¦', '');
      const word = /^#?[\w$]+/.exec(original.slice(offset))?.[0] ?? '';
      const back = runOperation(engine, {
        operation: 'rename',
        language,
        original: expected,
        position: backTo(original, expected, offset),
        rewrite: word,
      });
      expect([what, output(back)]).toEqual([what, original]);
    }
  });

  it('B133: without a position the name must be the only one', () => {
    const task = {
      operation: 'rename',
      language: 'python',
      original: 'def f(a):\n    return a\ndef g(a):\n    return a\n',
    } as const;
    const result = runOperation(engine, { ...task, symbol: 'a', rewrite: 'b' }) as BoosterRefusal;
    expect(result).toMatchObject({ ok: false, reason: 'ambiguous' });
    expect(result.candidates).toMatchObject([
      { line: 1, column: 7, text: 'def f(a):' },
      { line: 3, column: 7 },
    ]);
    expect(output(runOperation(engine, { ...task, symbol: 'g', rewrite: 'h' }))).toContain('def h(a)');
    expect(runOperation(engine, { ...task, symbol: 'zz', rewrite: 'h' })).toMatchObject({ reason: 'not_found' });
    expect(runOperation(engine, task)).toMatchObject({ reason: 'empty' });
  });

  it('B133: a position and a name that do not agree are stale', () => {
    const task = { operation: 'rename', language: 'js', original: 'let a, b;', position: { line: 1, column: 5 } } as const;
    expect(runOperation(engine, { ...task, symbol: 'b', rewrite: 'c' })).toMatchObject({ reason: 'stale' });
    expect(output(runOperation(engine, { ...task, symbol: 'c' }))).toBe('let c, b;');
    expect(runOperation(engine, { ...task, position: { line: 9, column: 1 }, rewrite: 'c' })).toMatchObject({
      reason: 'not_found',
    });
  });

  it('B134: words in strings and comments are told of and stay', () => {
    const result = rename(
      'javascript',
      '// add things\nfunction ¦add() {}\nlog("add", "added", `add`); add();',
      'sum',
    ) as BoosterSuccess<string>;
    expect(result.output).toBe('// add things\nfunction sum() {}\nlog("add", "added", `add`); sum();');
    expect(result.reported?.map(({ line, column, detail }) => [line, column, detail])).toEqual([
      [1, 4, 'comment'],
      [3, 6, 'string'],
      [3, 22, 'string'],
    ]);
  });

  it('B135: what other files may do is said', () => {
    expect((rename('python', '¦x = 1\n', 'y') as BoosterSuccess<string>).assumed).toEqual([
      'no other file uses this module-level name',
    ]);
    expect((rename('go', 'package m\nvar ¦x = 1\n', 'y') as BoosterSuccess<string>).assumed).toHaveLength(1);
    expect(rename('javascript', 'function f(¦x) {}', 'y')).not.toHaveProperty('assumed');
  });
});

/** Where the marked word stands in the renamed text: both texts have the same words and marks in the same order. */
function backTo(original: string, renamed: string, offset: number): number {
  const tokens = (text: string): readonly string[] => text.match(/[\p{L}\p{N}_$]+|[^\p{L}\p{N}_$]/gu) ?? [];
  const shifted = tokens(renamed);
  let [left, right] = [0, 0];
  for (const [index, token] of tokens(original).entries()) {
    if (left >= offset) break;
    left += token.length;
    right += shifted[index]!.length;
  }
  return right;
}
