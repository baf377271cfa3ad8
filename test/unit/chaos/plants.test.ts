import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { PLANTS } from '../../../scripts/chaos/plants.ts';
import { ROOT } from '../../../scripts/checks.ts';

it.each(Object.entries(PLANTS))('%s can still be planted', (_, { edits }) => {
  for (const { file, find, replace } of edits) {
    const parts = readFileSync(path.join(ROOT, file), 'utf8').split(find);
    expect(parts.length, `${file} has once: ${find}`).toBe(2);
    expect(replace).not.toBe(find);
  }
});
