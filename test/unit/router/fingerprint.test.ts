import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fingerprint } from '../../../workers/lib/fingerprint.ts';

describe('a fingerprint', () => {
  it('is the same for the same text, and 128 bits of hex', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(fingerprint(text)).toMatch(/^[0-9a-f]{32}$/);
        expect(fingerprint(text)).toBe(fingerprint(text.slice(0)));
      }),
    );
  });

  it('tells near texts apart in every lane: one that only counts, swaps or repeats characters would fail here', () => {
    const texts = new Set<string>();
    const body = JSON.stringify({ pool: 'coder', capabilities: ['a', 'b'], leaseMs: 30_000, metadata: { n: 0 } });
    for (let i = 0; i < body.length; i += 1) {
      for (let bit = 0; bit < 7; bit += 1)
        texts.add(body.slice(0, i) + String.fromCharCode(body.charCodeAt(i) ^ (1 << bit)) + body.slice(i + 1));
      texts.add(body.slice(0, i) + body.slice(i + 1));
      texts.add(body.slice(0, i) + body.slice(i, i + 1).repeat(2) + body.slice(i + 1));
    }
    for (let n = 0; n < 20_000; n += 1) texts.add(`${body}${n}`);
    for (let n = 0; n < 500; n += 1) texts.add('\0'.repeat(n));
    const prints = [...texts].map(fingerprint);
    expect(new Set(prints).size).toBe(texts.size);
    // Of some 20,000 random 32-bit numbers a few pairs are equal; a poor lane has thousands.
    for (const lane of [0, 1, 2, 3]) {
      const values = new Set(prints.map((print) => print.slice(8 * lane, 8 * lane + 8)));
      expect(texts.size - values.size).toBeLessThan(10);
    }
  });
});
