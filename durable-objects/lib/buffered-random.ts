/** Bytes drawn at once: one call of the generator costs as much as some hundred bytes of it. */
const DRAWN = 1_024;

/**
 * Fractions from 0 to below 1 in 256 steps, from the platform's generator for secrets. Enough for a ULID, which takes five
 * bits at a time and would ask the generator for each of its sixteen characters by itself.
 */
export function bufferedRandom(): () => number {
  const bytes = new Uint8Array(DRAWN);
  let at = DRAWN;
  return () => {
    if (at === DRAWN) {
      crypto.getRandomValues(bytes);
      at = 0;
    }
    const byte = bytes[at] ?? 0;
    at += 1;
    return byte / 256;
  };
}
