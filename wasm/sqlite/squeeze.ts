/** Gaps shorter than this are stored as they are. */
const GAP_MIN = 64;
/** First byte of a b-tree page: index interior, table interior, index leaf, table leaf. */
const INTERIOR = new Set([2, 5]);
const LEAF = new Set([10, 13]);
/** Offset and length of what was left out, two bytes each, before what is kept. */
const HEAD = 4;

/**
 * What of a page is worth storing. The gap of a b-tree page between its cell pointers and its cells is never read, and a freed
 * page is all zeros (`secure_delete`), so neither is stored: fewer bytes to seal and to write, nothing of a deleted row left
 * behind, and freed pages cost a few bytes each until they are used again. `no` is the page's number from 0.
 */
export function squeeze(page: Uint8Array, no: number): Uint8Array {
  const header = no === 0 ? 100 : 0;
  const type = page[header] ?? 0;
  if (type === 0) return isZero(page) ? page.subarray(0, 0) : page;
  if (!LEAF.has(type) && !INTERIOR.has(type)) return page;
  const from = header + (LEAF.has(type) ? 8 : 12) + 2 * uint16(page, header + 3);
  // A cell area that begins at 65,536 is written as 0.
  const to = uint16(page, header + 5) || 65_536;
  if (to > page.length || to - from < GAP_MIN) return page;
  const kept = new Uint8Array(HEAD + page.length - (to - from));
  kept[0] = from >> 8;
  kept[1] = from & 255;
  kept[2] = (to - from) >> 8;
  kept[3] = (to - from) & 255;
  kept.set(page.subarray(0, from), HEAD);
  kept.set(page.subarray(to), HEAD + from);
  return kept;
}

/** Writes the whole page into `page`; answers whether `kept` was one of ours. */
export function unsqueeze(kept: Uint8Array, page: Uint8Array): boolean {
  if (kept.length === page.length) {
    page.set(kept);
    return true;
  }
  if (kept.length === 0) {
    page.fill(0);
    return true;
  }
  const from = uint16(kept, 0);
  const gap = uint16(kept, 2);
  if (kept.length !== HEAD + page.length - gap || from + gap > page.length) return false;
  page.set(kept.subarray(HEAD, HEAD + from), 0);
  page.fill(0, from, from + gap);
  page.set(kept.subarray(HEAD + from), from + gap);
  return true;
}

const uint16 = (bytes: Uint8Array, at: number): number => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);

function isZero(page: Uint8Array): boolean {
  for (const byte of page) if (byte !== 0) return false;
  return true;
}
