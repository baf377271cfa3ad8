import { beforeAll, describe, expect, test } from 'vitest';
import type { Engine } from '../../wasm/booster/engine.ts';
import { apply } from '../../wasm/booster/merge/apply.ts';
import { applySplices } from '../../wasm/booster/merge/text.ts';
import { newEngine } from '../lib/booster.ts';
import { type Case, corpus } from '../lib/booster-edits/corpus.ts';

/** Share of the cases with an output that must come out exactly. What is left is refused; nothing may be wrong. */
const EXACT_MIN = { lazy: 0.95, snippet: 0.9, search_replace: 0.97, unified_diff: 0.97, full: 0.97 } as const;

interface Row {
  cases: number;
  exact: number;
  refused: number;
  silent: number;
  /** Cases that must be refused, and were not. */
  leaked: number;
}

let engine: Engine;
let cases: Case[];
const rows = new Map<string, Row>();
const faults: string[] = [];

beforeAll(async () => {
  engine = await newEngine();
  cases = corpus(engine);
  for (const each of cases) {
    const result = apply(engine, { original: each.original, edit: each.edit, language: each.language });
    for (const key of [`${each.language} ${each.style}`, each.style]) {
      const row = rows.get(key) ?? { cases: 0, exact: 0, refused: 0, silent: 0, leaked: 0 };
      rows.set(key, row);
      if (each.expected === null) {
        if (result.ok && result.changed) row.leaked += 1;
        continue;
      }
      row.cases += 1;
      if (!result.ok) row.refused += 1;
      else if (result.output === each.expected) row.exact += 1;
      else row.silent += 1;
    }
    if (result.ok && (each.expected === null ? result.changed : result.output !== each.expected)) {
      faults.push(`${each.language} ${each.style}: ${each.name}`);
    }
  }
}, 120_000);

describe('the corpus', () => {
  test('B50: there are at least 400 cases, in seven languages and five styles', () => {
    expect(cases.length).toBeGreaterThanOrEqual(400);
    const full = new Set(cases.map(({ language, style }) => `${language} ${style}`));
    for (const language of ['javascript', 'typescript', 'tsx', 'python', 'go', 'rust', 'java']) {
      for (const style of ['lazy', 'snippet', 'search_replace', 'unified_diff', 'full'])
        expect(full).toContain(`${language} ${style}`);
    }
  });

  test('B51: no output is wrong, and nothing is applied that must be refused', () => {
    console.table(Object.fromEntries([...rows].toSorted(([a], [b]) => (a < b ? -1 : 1))));
    expect(faults).toEqual([]);
  });

  test.each(Object.entries(EXACT_MIN))('B52: edits of style %s come out exactly', (style, least) => {
    const row = rows.get(style);
    expect((row?.exact ?? 0) / (row?.cases ?? 1)).toBeGreaterThanOrEqual(least);
  });

  test('B30: an edit that was applied changes nothing a second time', () => {
    for (const each of cases) {
      const once = apply(engine, { original: each.original, edit: each.edit, language: each.language });
      if (!once.ok) continue;
      const twice = apply(engine, { original: once.output, edit: each.edit, language: each.language });
      if (twice.ok) expect([each.name, twice.output]).toEqual([each.name, once.output]);
    }
  });

  test('B31: bytes outside the touched ranges are those of the original, whatever ends its lines', () => {
    for (const [index, each] of cases.entries()) {
      if (index % 3 !== 0) continue;
      const original = `\uFEFF${each.original.replaceAll('\n', () => (index % 2 === 0 ? '\r\n' : '\n'))}`;
      const result = apply(engine, { original, edit: each.edit, language: each.language });
      if (!result.ok) continue;
      expect(applySplices(original, result.touched)).toBe(result.output);
      expect(result.output.startsWith('\uFEFF')).toBe(true);
      if (each.expected !== null) expect(result.output.slice(1).replaceAll('\r\n', '\n')).toBe(each.expected);
      if (index % 2 === 0) expect(/(?<!\r)\n/.test(result.output)).toBe(false);
    }
  });
});
