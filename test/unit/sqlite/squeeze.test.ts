import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PAGE_BYTES, RESERVED_BYTES, squeeze, unsqueeze } from '../../../wasm/sqlite/squeeze.ts';

const USABLE = PAGE_BYTES - RESERVED_BYTES;

describe('squeezing pages', () => {
  it('M17: any page comes back, but for the gap that is never read and the end that is never used', () => {
    const page = fc.record({
      no: fc.integer({ min: 0, max: 3 }),
      type: fc.constantFrom(0, 1, 2, 5, 10, 13, 255),
      cells: fc.integer({ min: 0, max: 2_100 }),
      content: fc.integer({ min: 0, max: 65_535 }),
      fill: fc.integer({ min: 0, max: 255 }),
    });
    fc.assert(
      fc.property(page, ({ no, type, cells, content, fill }) => {
        const bytes = new Uint8Array(PAGE_BYTES).map((_, at) => (at * 31 + fill) & 255);
        const header = no === 0 ? 100 : 0;
        bytes[header] = type;
        new DataView(bytes.buffer).setUint16(header + 3, cells);
        new DataView(bytes.buffer).setUint16(header + 5, content);
        const kept = squeeze(bytes, no, new Uint8Array(PAGE_BYTES));
        const back = new Uint8Array(PAGE_BYTES).fill(77);
        expect(unsqueeze(kept, back)).toBe(true);
        const from = header + (type === 2 || type === 5 ? 12 : 8) + 2 * cells;
        const hasGap = [2, 5, 10, 13].includes(type) && content <= USABLE && content - from >= 64;
        for (let at = 0; at < PAGE_BYTES; at += 1) {
          const dropped = at >= USABLE || (hasGap && at >= from && at < content);
          if (back[at] !== (dropped ? 0 : bytes[at])) throw new Error(`byte ${at} differs`);
        }
        expect(kept.length).toBeLessThanOrEqual(USABLE);
      }),
    );
  });

  it('M17: a page of zeros is kept as nothing', () => {
    const kept = squeeze(new Uint8Array(PAGE_BYTES), 9, new Uint8Array(PAGE_BYTES));
    expect(kept).toHaveLength(0);
    const page = new Uint8Array(PAGE_BYTES).fill(1);
    expect(unsqueeze(kept, page)).toBe(true);
    expect(page.every((byte) => byte === 0)).toBe(true);
  });

  it("M17: what has no page's length is refused", () => {
    for (const length of [1, 3, 4, 100, USABLE - 1, USABLE + 1, PAGE_BYTES]) {
      expect(unsqueeze(new Uint8Array(length).fill(255), new Uint8Array(PAGE_BYTES))).toBe(false);
    }
  });
});
