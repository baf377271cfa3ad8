/**
 * `npm run fuzz:booster -- --edits 100000 [--seed 1]`: made-up edits, each with something that makes it hard, against
 * `apply`. Prints what came of them by language and style, and each output that is silently wrong. Exits 1 if there is one.
 */
import { readFileSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { FIXTURES } from '../test/fixtures/booster/changes.ts';
import { newEngine } from '../test/lib/booster.ts';
import { changesOf } from '../test/lib/booster-edits/diff.ts';
import { type Source, tryOne, type Verdict } from '../test/lib/booster-edits/fuzz.ts';
import { Seeded } from '../test/lib/seeded.ts';
import { ENGINE_RECYCLE_MEMORY_BYTES } from '../wasm/booster/limits.ts';
import { ROOT } from './checks.ts';

const { values } = parseArgs({
  options: {
    edits: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
    show: { type: 'string', default: '3' },
  },
});
const edits = Number(values.edits);
const firstSeed = Number(values.seed);

/**
 * Our own fixtures in all languages, and JavaScript and TypeScript of many authors from the packages at hand. Nothing of our
 * own code: it changes every day, and a seed is to stay the same edit.
 */
function sources(): Source[] {
  const found: Source[] = FIXTURES.map(({ language, file }) => ({
    language,
    text: readFileSync(path.join(ROOT, 'test/fixtures/booster', file), 'utf8'),
  }));
  for (const folder of ['hono/dist', 'commander/lib', 'fastify/lib', 'undici/lib', 'zod/src', 'bullmq/src']) {
    const root = path.join(ROOT, 'node_modules', folder);
    if (statSync(root, { throwIfNoEntry: false }) === undefined) continue;
    for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
      const file = path.join(entry.parentPath, entry.name);
      if (!entry.isFile() || !/\.(?:m?js|ts)$/.test(entry.name) || entry.name.endsWith('.d.ts') || file.includes('generated'))
        continue;
      const text = readFileSync(file, 'utf8');
      if (text.length > 1_000 && text.length < 12_000 && !text.includes('\r'))
        found.push({ language: file.endsWith('ts') ? 'typescript' : 'javascript', text });
      if (found.length > 400) return found;
    }
  }
  return found;
}

/** The changed lines between two texts, `-` of the first and `+` of the second. */
function difference(wanted: string, output: string): string {
  const [from, to] = [wanted.split('\n'), output.replaceAll('\r\n', '\n').split('\n')];
  return (changesOf(from, to, 2_000) ?? [])
    .flatMap((change) => [
      `@@ line ${change.from + 1}`,
      ...from.slice(change.from, change.to).map((text) => `-${text}`),
      ...to.slice(change.newFrom, change.newTo).map((text) => `+${text}`),
    ])
    .join('\n');
}

const all = sources();
// As often each language as the other, however many files it has.
const byLanguage = Map.groupBy(all, ({ language }) => language);
let engine = await newEngine();
const totals = new Map<string, Map<Verdict, number>>();
const count = (key: string, verdict: Verdict): void => {
  const row = totals.get(key) ?? new Map<Verdict, number>();
  row.set(verdict, (row.get(verdict) ?? 0) + 1);
  totals.set(key, row);
};
let made = 0;
let silent = 0;
for (let seed = firstSeed; made < edits; seed += 1) {
  const random = new Seeded(seed);
  const tried = tryOne(engine, random.pick([...byLanguage.values()]), random);
  if (engine.memoryBytes > ENGINE_RECYCLE_MEMORY_BYTES) engine = await newEngine();
  if (tried === null) continue;
  made += 1;
  for (const key of [`${tried.language} ${tried.style}`, `all ${tried.style}`, `all with ${tried.hostility}`, 'all'])
    count(key, tried.verdict);
  if (tried.verdict === 'silent') {
    silent += 1;
    console.log(`SILENT seed ${seed} ${tried.language} ${tried.style} ${tried.hostility}`);
    if (silent <= Number(values.show))
      console.log(`--- edit\n${tried.edit}\n--- output against what was wanted\n${difference(tried.wanted, tried.output)}\n`);
  }
}
for (const [key, row] of [...totals].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
  const sum = [...row.values()].reduce((total, each) => total + each, 0);
  const share = (verdict: Verdict): string => `${((100 * (row.get(verdict) ?? 0)) / sum).toFixed(1).padStart(5)} %`;
  console.log(
    `${key.padEnd(28)} ${String(sum).padStart(7)}  exact ${share('exact')}  refused ${share('refused')}  undetermined ${share('undetermined')}  silent ${row.get('silent') ?? 0}`,
  );
}
process.exitCode = silent === 0 ? 0 : 1;
