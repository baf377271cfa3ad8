import { describe, expect, test } from 'vitest';
import { measure } from '../../../examples/analysers/size.ts';

const size = (path: string, source: string) => measure({ path, source });

describe('measure', () => {
  test('tells code, comments and blank lines apart', () => {
    const source = '// a\n\n/* b\n\nc */\nconst d = `\n`; // e\nf();\n';
    expect(size('a.ts', source).lines).toEqual({ total: 8, code: 3, comment: 3, blank: 2 });
    expect(size('a.ts', '').lines.total).toBe(0);
    expect(size('a.ts', 'a').lines.total).toBe(1);
    expect(size('a.ts', 'é').bytes).toBe(2);
  });

  test('counts where the flow divides', () => {
    const source = `
      if (a && b || c) d(e ?? f);
      for (const g of h) while (i) j();
      switch (k) { case 1: break; default: }
      try { l?.m(); } catch { n = o ? p : q; }
      const r: { s?: string; if: 1 } = { if: 1 }; // if (t) && u
      const v = 'if && else'; function w(x?: number, y?) {}
    `;
    expect(size('a.ts', source).branches).toBe(9);
    expect(size('a.py', 'if a and b:\n  pass\nelif c or d: # if\n  pass\nx = "if"\n').branches).toBe(4);
    expect(size('a.json', '{"if": "a && b"}').branches).toBe(0);
  });

  test('measures nesting of blocks', () => {
    expect(size('a.ts', "a(() => { if (b) { c('{'); } });").maxNesting).toBe(2);
    expect(size('a.json', '{"a": {"b": {}}}').maxNesting).toBe(3);
    expect(size('a.py', 'def a():\n  if b:\n    c(1,\n          2)\n    d = """\n        e\n  """\nf()\n').maxNesting).toBe(2);
  });

  test('finds the longest function by name', () => {
    const source = `
export const short = async (a: string): Promise<Map<string, number>> => {
  return new Map();
};
class A extends mixin(B) {
  #x = { y: 1 };
  async *longest(a: string, fn: () => void = () => {}): Promise<void> {
    if (a) {
      for (const b of c) {
        d(b);
      }
    }
  }
}
function last(a) { return function () { return 1; }; }
`;
    expect(size('a.ts', source)).toMatchObject({ longestFunction: { name: 'longest', line: 7, lines: 7 }, functions: 5 });
  });

  test.each([
    ['a.go', 'func (s *Server) Run(ctx Context) error {\n\treturn nil\n}\n', 'Run', 3],
    ['a.rs', "pub fn run<'a>(x: &'a str) -> Option<u8> {\n  None\n}\n", 'run', 3],
    ['a.java', 'class A {\n  public static void main(String[] a) throws X {\n  }\n}\n', 'main', 2],
    ['a.py', 'class A:\n  async def run(self,\n      a,\n  ):\n    pass\n\nx = 1\n', 'run', 4],
  ])('knows functions of %s', (path, source, name, lines) => {
    expect(size(path, source).longestFunction).toMatchObject({ name, lines });
  });

  test.each([
    ["describe('a', () => {\n});", 'callback of describe'],
    ['a.b.map(function () {\n});', 'callback of a.b.map'],
    ['export default function () {\n}', 'anonymous'],
  ])('names a function without a name by where it goes: %s', (source, name) => {
    expect(size('a.ts', source).longestFunction).toMatchObject({ name });
  });

  test('does not take a block for a function', () => {
    for (const source of [
      'if (a) { }',
      'for await (const a of b) { }',
      'while (a(b)) { }',
      'const a = { b: c(d) };',
      'a({ b: 1 });',
      'switch (a(b)) { }',
    ])
      expect([source, size('a.ts', source).functions]).toEqual([source, 0]);
  });
});
