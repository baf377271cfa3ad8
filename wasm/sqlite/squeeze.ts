export const PAGE_BYTES = 4_096;
/**
 * Each page keeps so many bytes at its end unused, as SQLite allows, so that a sealed page with its row fits into one page of
 * the host's database: 4,061 bytes, of which a box takes 32 beside its page and the row's head 5. Over that the row would be
 * cut into a chain, which doubles the time of a write.
 */
export const RESERVED_BYTES = 80;
const USABLE_BYTES = PAGE_BYTES - RESERVED_BYTES;

/** Gaps shorter than this are stored as they are. */
const GAP_MIN = 64;
/** Offset and length of what was left out, two bytes each, before what is kept. */
const HEAD_BYTES = 4;

/**
 * What of a page is worth storing, written into `into` or the page itself. The gap of a b-tree page between its cell pointers
 * and its cells is never read, and a freed page is all zeros (`secure_delete`), so neither is stored: fewer bytes to seal and
 * to write, nothing of a deleted row left behind, and freed pages cost a few bytes each until they are used again. `no` is the
 * page's number from 0. `into` has room for a page; it is used again by the caller, which saves an allocation a page.
 */
export function squeeze(page: Uint8Array, no: number, into: Uint8Array): Uint8Array {
  const header = no === 0 ? 100 : 0;
  const pointersAt = pointersOffset(page[header] ?? 0);
  if (pointersAt === null) return isZero(page) ? page.subarray(0, 0) : page.subarray(0, USABLE_BYTES);
  const from = header + pointersAt + 2 * uint16(page, header + 3);
  const to = uint16(page, header + 5);
  if (to > USABLE_BYTES || to - from < GAP_MIN) return page.subarray(0, USABLE_BYTES);
  into[0] = from >> 8;
  into[1] = from & 255;
  into[2] = (to - from) >> 8;
  into[3] = (to - from) & 255;
  into.set(page.subarray(0, from), HEAD_BYTES);
  into.set(page.subarray(to, USABLE_BYTES), HEAD_BYTES + from);
  return into.subarray(0, HEAD_BYTES + USABLE_BYTES - (to - from));
}

/** Writes the whole page into `page`; answers whether `kept` was one of ours. */
export function unsqueeze(kept: Uint8Array, page: Uint8Array): boolean {
  page.fill(0, USABLE_BYTES);
  if (kept.length === USABLE_BYTES) {
    page.set(kept);
    return true;
  }
  if (kept.length === 0) {
    page.fill(0);
    return true;
  }
  const from = uint16(kept, 0);
  const gap = uint16(kept, 2);
  if (kept.length !== HEAD_BYTES + USABLE_BYTES - gap || from + gap > USABLE_BYTES) return false;
  page.set(kept.subarray(HEAD_BYTES, HEAD_BYTES + from));
  page.fill(0, from, from + gap);
  page.set(kept.subarray(HEAD_BYTES + from), from + gap);
  return true;
}

/** Where a b-tree page's cell pointers begin, behind the page's header; null for any other page. */
function pointersOffset(type: number): number | null {
  switch (type) {
    // Interior pages, of an index and of a table.
    case 2:
    case 5:
      return 12;
    // Leaves, of an index and of a table.
    case 10:
    case 13:
      return 8;
    default:
      return null;
  }
}

const uint16 = (bytes: Uint8Array, at: number): number => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);

function isZero(page: Uint8Array): boolean {
  for (let at = 0; at < USABLE_BYTES; at += 1) if (page[at] !== 0) return false;
  return true;
}
