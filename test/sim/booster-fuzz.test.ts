import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { FIXTURES } from '../fixtures/booster/changes.ts';
import { newEngine } from '../lib/booster.ts';
import { type Source, tryOne } from '../lib/booster-edits/fuzz.ts';
import { Seeded } from '../lib/seeded.ts';

/** Enough to meet each language, style and hostility a few times; `npm run fuzz:booster` makes as many as one likes. */
const EDITS = 600;

test('B60: no hostile edit is silently wrong', async () => {
  const engine = await newEngine();
  const sources: Source[] = FIXTURES.map(({ language, file }) => ({
    language,
    text: readFileSync(path.join(import.meta.dirname, '../fixtures/booster', file), 'utf8'),
  }));
  const first = Number(process.env['SEED'] ?? 7_000);
  let made = 0;
  for (let seed = first; made < EDITS; seed += 1) {
    const tried = tryOne(engine, sources, new Seeded(seed));
    if (tried === null) continue;
    made += 1;
    const { verdict, language, style, hostility, edit } = tried;
    expect(verdict === 'silent' ? { seed, language, style, hostility, edit } : 'fine').toBe('fine');
  }
});
