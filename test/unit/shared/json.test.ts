import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jsonDepthWithin, utf8Bytes } from '../../../shared/json.ts';

const depthOf = (value: unknown): number =>
  typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0;

/** Any UTF-16, lone surrogates too. The library's own unit for it takes seconds to set up on a busy machine. */
const units = fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 40 }).map((codes) => String.fromCharCode(...codes));

describe('json', () => {
  it('utf8Bytes equals the encoder', () => {
    fc.assert(
      fc.property(units, (text) => {
        expect(utf8Bytes(text)).toBe(new TextEncoder().encode(text).length);
      }),
    );
    // Lone surrogates become the three bytes of U+FFFD.
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 0xffff })), (codes) => {
        const text = String.fromCharCode(...codes);
        expect(utf8Bytes(text)).toBe(new TextEncoder().encode(text).length);
      }),
    );
  });

  it('jsonDepthWithin equals the depth of the value, brackets in strings and all', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const depth = depthOf(value);
        expect(jsonDepthWithin(JSON.stringify(value), depth)).toBe(true);
        if (depth > 0) expect(jsonDepthWithin(JSON.stringify(value), depth - 1)).toBe(false);
      }),
    );
  });

  it('a hostile depth costs one pass', () => {
    expect(jsonDepthWithin('['.repeat(1_000_000), 64)).toBe(false);
  });
});
