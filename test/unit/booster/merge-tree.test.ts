import { beforeAll, describe, expect, test } from 'vitest';
import type { Engine } from '../../../wasm/booster/engine.ts';
import type { LanguageId } from '../../../wasm/booster/languages.ts';
import { apply } from '../../../wasm/booster/merge/apply.ts';
import { Context } from '../../../wasm/booster/merge/context.ts';
import { editTreeOf } from '../../../wasm/booster/merge/edit-tree.ts';
import { itemsOf } from '../../../wasm/booster/merge/lazy.ts';
import { readsLike, treeOpinion } from '../../../wasm/booster/merge/tree.ts';
import { newEngine } from '../../lib/booster.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await newEngine();
}, 60_000);

const text = (...lines: readonly string[]): string => `${lines.join('\n')}\n`;

function opinionOf(language: LanguageId, original: string, edit: string): string | null {
  return engine.session((session) => {
    const context = new Context(session, language, original, false);
    const tree = editTreeOf(
      context,
      itemsOf(edit.trimEnd().split('\n'), language, () => false),
    );
    return tree === null ? null : treeOpinion(context, tree);
  });
}

const SHOP = text(
  'class Shop {',
  '  open() {',
  '    this.log();',
  '    return 1;',
  '  }',
  '',
  '  sell(a) {',
  '    check(a);',
  '    const price = 2;',
  '    return price;',
  '  }',
  '}',
);

const LEDGER = text(
  'class Ledger:',
  '    def add(self, a):',
  '        # Twice is an error.',
  '        if a in self.rows:',
  '            raise KeyError(a)',
  '        self.rows.append(a)',
  '        return a',
  '',
  '    def close(self):',
  '        self.closed = True',
);

const ONE = text('import os', '', 'def one(a):', '    x = a', '    return x', '', 'print(one(1))');

describe('the merger on the syntax tree', { timeout: 60_000 }, () => {
  test.each<[what: string, language: LanguageId, original: string, edit: string, wanted: string]>([
    [
      'a method between markers is replaced',
      'javascript',
      SHOP,
      text('class Shop {', '  // ...', '  sell(a) {', '    return 3;', '  }', '}'),
      SHOP.replace('    check(a);\n    const price = 2;\n    return price;', '    return 3;'),
    ],
    [
      'markers within a method keep its statements',
      'javascript',
      SHOP,
      text('// ...', 'class Shop {', '  // ...', '  sell(a) {', '    // ...', '    const price = 4;', '    // ...', '  }', '}'),
      SHOP.replace('price = 2', 'price = 4'),
    ],
    [
      'members parse without their class',
      'typescript',
      SHOP,
      text('// ...', '  sell(a) {', '    // ...', '    const price = 4;', '    return price;', '  }', '// ...'),
      SHOP.replace('price = 2', 'price = 4'),
    ],
    [
      'a Python marker keeps the block and what follows it, comments too',
      'python',
      LEDGER,
      text('class Ledger:', '    def add(self, a):', '        # ...', '        self.rows.append(str(a))', '        # ...'),
      LEDGER.replace('append(a)', 'append(str(a))'),
    ],
  ])('B46: %s', (_what, language, original, edit, wanted) => {
    expect(opinionOf(language, original, edit)).toBe(readsLike(wanted, language));
  });

  test.each<[what: string, language: LanguageId, original: string, edit: string]>([
    ['an edit that does not parse', 'javascript', SHOP, text('    const price = 4;', '    return price;', '  }', '// ...')],
    [
      'a statement between two markers',
      'javascript',
      SHOP,
      text('class Shop {', '  sell(a) {', '    // ...', '    tick();', '    // ...', '  }', '}'),
    ],
    [
      'a line that stands there several times',
      'javascript',
      text('a();', 'b();', 'a();'),
      text('// ...', 'a();', 'c();', '// ...'),
    ],
    [
      'an `if` that may go on behind the marker',
      'javascript',
      text('x();', 'if (a) b();', 'else c();'),
      text('x();', 'if (a) d();', '// ...'),
    ],
    [
      'a marker in a chain of calls',
      'javascript',
      text('const a = b', '  .c()', '  .d();'),
      text('const a = b', '  // ...', '  .d();'),
    ],
    [
      'lines at several depths that parse as one block',
      'python',
      LEDGER,
      text('    def add(self, a):', '        # ...', '            raise KeyError(a)', '        return a', '# ...'),
    ],
  ])('B46: no opinion: %s', (_what, language, original, edit) => {
    expect(opinionOf(language, original, edit)).toBeNull();
  });

  test('B46: where both come to one result it says so', () => {
    const edit = text(
      'class Shop {',
      '  // ...',
      '  sell(a) {',
      '    // ...',
      '    const price = 4;',
      '    return price;',
      '  }',
      '}',
    );
    expect(apply(engine, { original: SHOP, edit, language: 'javascript' })).toMatchObject({
      ok: true,
      engine: 'tree+lines',
      output: SHOP.replace('price = 2', 'price = 4'),
    });
  });

  test('B42: new lines at an unmarked end do not take the place of what stands there', () => {
    const edit = text('# ... existing code ...', 'def one(a):', '    x = a', '    y = other(3, 4)');
    expect(apply(engine, { original: ONE, edit, language: 'python' })).toMatchObject({ ok: false, reason: 'ambiguous' });
  });

  test('B20: a Python statement deeper than its neighbours is an error, though the grammar takes it', () => {
    const edit = text('# ... existing code ...', 'def one(a):', '# ... existing code ...', '    y = other(3, 4)');
    expect(apply(engine, { original: ONE, edit, language: 'python' }).ok).toBe(false);
  });

  test('B44: a Python definition that ends with something else than the old one is refused', () => {
    const edit = text('def close(self):', '    if self.balance:', '        v1 = measure("v1")');
    const original = text(
      'class A:',
      '    def close(self):',
      '        if self.balance:',
      '            raise KeyError()',
      '        self.closed = True',
    );
    expect(apply(engine, { original, edit, language: 'python' }).ok).toBe(false);
  });

  test('B20: a Python block without a statement is an error, though the grammar takes it', () => {
    const original = text('def one(a):', '    return a');
    const edit = text('<<<<<<< SEARCH', '    return a', '=======', '>>>>>>> REPLACE');
    expect(apply(engine, { original, edit, language: 'python' })).toMatchObject({ ok: false, reason: 'does_not_parse' });
  });
});
