import type { TreeCursor } from 'web-tree-sitter';
import { describe, expect, test } from 'vitest';
import { EngineFault, type Parsed, type ParseRefusal, type Splice } from '../../../wasm/booster/engine.ts';
import { LANGUAGE_IDS, languageByName, languageByPath, type LanguageId } from '../../../wasm/booster/languages.ts';
import { SOURCE_MAX_LENGTH } from '../../../wasm/booster/limits.ts';
import type { Snapshot } from '../../../wasm/booster/snapshot.ts';
import { newEngine } from '../../lib/booster.ts';

const SAMPLES: Readonly<Record<LanguageId, string>> = {
  javascript: 'export class A { get x() { return `é${1}😀`; } }\n// …\nconst y = <b>z</b>;\n',
  typescript: 'interface A<T> { x?: T }\nexport const f = (a: A<number>): void => {};\n',
  tsx: 'const v = <A b={1}>text {x}</A>;\n',
  python: '@d\nasync def f(a, *b: int) -> str:\n    """doc 😀"""\n    return f"{a!r}"\n',
  go: 'package m\n\nfunc (r *R) F(a, b int) (x error) { return nil }\n',
  rust: "#[derive(Debug)]\npub enum E { A(u8), B { c: &'static str } }\nimpl E { fn f(&self) {} }\n",
  java: 'class A { @Override public <T> int f(T a) throws E { return 1; } }\n',
  json: '{"a": [1, true, null, "é😀"]}\n',
  css: '.a > b:hover { color: red; }\n',
  html: '<!doctype html>\n<p class="a">b<br></p>\n',
  c: '#include <a.h>\nint main(void) { return 0; }\n',
  cpp: 'namespace a { template <class T> struct B : C { B() = default; }; }\n',
  csharp: 'namespace N { class A { int X { get; set; } } }\n',
  ruby: 'class A\n  def f(x) = x + 1\nend\n',
  php: '<?php\nclass A { function f(int $x): int { return $x; } }\n',
  bash: 'f() {\n  echo "$1" | grep x\n}\n',
};

const good = (parsed: Parsed | ParseRefusal): Parsed => {
  if (typeof parsed === 'string') throw new Error(parsed);
  return parsed;
};

/** The same facts by the package's own cursor. */
function walked(cursor: TreeCursor): unknown[] {
  const rows: unknown[] = [];
  const visit = (): void => {
    rows.push([
      cursor.nodeType,
      cursor.startIndex,
      cursor.endIndex,
      cursor.nodeIsNamed,
      cursor.nodeIsMissing,
      cursor.currentFieldName ?? '',
    ]);
    if (cursor.gotoFirstChild()) {
      do visit();
      while (cursor.gotoNextSibling());
      cursor.gotoParent();
    }
  };
  visit();
  return rows;
}

const rowsOf = (snapshot: Snapshot): unknown[] =>
  Array.from({ length: snapshot.count }, (_, node) => [
    snapshot.type(node),
    snapshot.start(node),
    snapshot.end(node),
    snapshot.isNamed(node),
    snapshot.isMissing(node),
    snapshot.field(node),
  ]);

// Grammars are compiled on first use, which takes its time on a busy machine.
describe('the engine', { timeout: 60_000 }, () => {
  test.each(LANGUAGE_IDS)('B1: a snapshot of %s is the tree, node for node', async (language) => {
    const engine = await newEngine();
    for (const source of [SAMPLES[language], `${SAMPLES[language]} ( } "`, '']) {
      engine.session((session) => {
        const { snapshot, tree } = good(session.parse(language, source));
        expect(rowsOf(snapshot)).toEqual(walked(tree.walk()));
        for (let node = 0; node < snapshot.count; node += 1) {
          for (const child of snapshot.children(node)) expect(snapshot.parent(child)).toBe(node);
        }
        if (source === SAMPLES[language]) expect(snapshot.errorCount).toBe(0);
        expect(snapshot.errorCount > 0).toBe(tree.rootNode.hasError);
        expect(snapshot.errors().length > 0).toBe(tree.rootNode.hasError);
      });
    }
  });

  test('B2: a reparse after splices is the parse of the new text', async () => {
    const engine = await newEngine();
    const before = 'function a() {\n  return "é😀";\n}\n\nfunction b() {\n  return 2;\n}\n';
    const at = before.indexOf('2');
    const splices: readonly Splice[] = [
      { start: 9, end: 10, text: 'longer' },
      { start: at, end: at + 1, text: '(\n3\n)' },
    ];
    const after = before.replace('a()', 'longer()').replace('2', '(\n3\n)');
    engine.session((session) => {
      const original = good(session.parse('javascript', before));
      const again = good(session.reparse(original, after, splices));
      expect(rowsOf(again.snapshot)).toEqual(rowsOf(good(session.parse('javascript', after)).snapshot));
      expect(rowsOf(original.snapshot)).toEqual(rowsOf(good(session.parse('javascript', before)).snapshot));
    });
  });

  test('B3: a parse past its budget is refused, and the next one starts afresh', async () => {
    const engine = await newEngine();
    const hostile = 'a = '.repeat(20_000);
    engine.session((session) => {
      const refused = session.parse('python', hostile);
      if (typeof refused !== 'string') expect(refused.snapshot.count).toBeGreaterThan(0);
      const { snapshot } = good(session.parse('javascript', 'let a = 1;'));
      expect(snapshot.count).toBe(8);
    });
  });

  test('B3: a source over the limit, and a language without a grammar, are refused', async () => {
    const engine = await newEngine();
    engine.session((session) => {
      expect(session.parse('javascript', ' '.repeat(SOURCE_MAX_LENGTH + 1))).toBe('too_large');
      expect(typeof session.parse('javascript', ' '.repeat(SOURCE_MAX_LENGTH))).toBe('object');
    });
  });

  test('B4: trees are deleted, so memory stays flat over many sessions', async () => {
    const engine = await newEngine();
    const source = SAMPLES.typescript.repeat(50);
    const run = (): void => {
      for (let count = 0; count < 40; count += 1) engine.session((session) => good(session.parse('typescript', source)));
    };
    run();
    const settled = engine.memoryBytes;
    run();
    expect(engine.memoryBytes).toBe(settled);
    expect(engine.operations).toBe(80);
  });

  test('B5: a trap taints its engine for good, and no other', async () => {
    const [damaged, other] = [await newEngine(), await newEngine()];
    damaged.session((session) => session.parse('go', SAMPLES.go));
    expect(damaged.taint).toBeNull();
    damaged.binding().HEAPU8.fill(0xff);
    expect(() => damaged.session((session) => session.parse('go', SAMPLES.go))).toThrow(EngineFault);
    expect(damaged.taint).not.toBeNull();
    expect(() => damaged.session(() => 1)).toThrow(EngineFault);
    expect(other.session((session) => good(session.parse('go', SAMPLES.go)).snapshot.errorCount)).toBe(0);
  });

  test('B5: an error that is none of the engine passes through and taints nothing', async () => {
    const engine = await newEngine();
    expect(() =>
      engine.session(() => {
        throw new TypeError('mine');
      }),
    ).toThrow('mine');
    expect(engine.taint).toBeNull();
  });

  test('B5: words of the code in a message make no fault of it', async () => {
    const engine = await newEngine();
    for (const word of ['unreachable', 'aborted', 'null function', 'call stack']) {
      expect(() =>
        engine.session(() => {
          throw new Error(`function:${word} would be lost`);
        }),
      ).toThrow(word);
      expect(engine.taint).toBeNull();
    }
  });

  test('B6: a language is known by its names and by the last extension of a path', () => {
    expect(languageByName('C++')).toBe('cpp');
    expect(languageByName('Golang')).toBe('go');
    expect(languageByName('cobol')).toBeNull();
    expect(languageByPath('a/b.d.ts')).toBe('typescript');
    expect(languageByPath('a\\X.PY')).toBe('python');
    expect(languageByPath('a.py/Makefile')).toBeNull();
  });
});
