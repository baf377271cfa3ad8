import type { Internals } from './internals.ts';
import type { Header } from './ledger.ts';
import { keyIdOf, SEALS_DUE } from './page-cipher.ts';

/** Keys are replaced after so long by default. */
export const ROTATION_PERIOD_MS = 90 * 24 * 60 * 60 * 1_000;
/** Pages of one step: some ten milliseconds of work. */
export const ROTATION_PAGES = 256;

/** When the current key is due for replacement; at once when it has sealed half of what it may. */
export function rotationDueAtMs(internals: Internals, periodMs: number): number {
  const { current } = internals.engine().ledger;
  return current.seals >= SEALS_DUE ? 0 : current.createdAtMs + periodMs;
}

/**
 * A new key, for all that is written from now on. What lies under older ones is moved by `rotateStep`; both stay readable
 * until then. Answers false while an earlier rotation has not ended.
 */
export async function startRotation(internals: Internals): Promise<boolean> {
  if (internals.engine().ledger.header.rotation !== null) return false;
  const key = await internals.keys.generate(internals.identity);
  return internals.step(({ ledger }) => {
    const { header } = ledger;
    // Another call may have been quicker while this one waited for its key.
    if (header.rotation !== null) return false;
    const keyId = Math.max(...header.keys.map(({ id }) => id)) + 1;
    internals.cipher.addKey(keyId, key.plain);
    internals.store.addWrappedKey(keyId, key.wrapped);
    ledger.change({
      keyId,
      keys: [...header.keys, { id: keyId, createdAtMs: internals.nowMs(), seals: 0 }],
      rotation: { sets: setsOf(header), no: 0 },
    });
    ledger.save();
    return true;
  });
}

/**
 * Seals up to `limit` pages anew that are under an older key; with the last one the older keys are destroyed. A page that
 * does not open stops it with an error that names the page: as long as it is there, the keys are kept.
 */
export function rotateStep(internals: Internals, limit: number = ROTATION_PAGES): void {
  const destroyed = internals.step(({ ledger }): readonly number[] => {
    const { rotation, keyId, keys, doomed } = ledger.header;
    if (rotation === null) return [];
    const sets = rotation.sets.filter((set) => !doomed.includes(set));
    const [set] = sets;
    if (set !== undefined) {
      const fromNo = set === rotation.sets[0] ? rotation.no : 0;
      const pages = internals.store.pagesFrom(set, fromNo, limit);
      const old = pages.filter(({ box }) => keyIdOf(box) !== keyId);
      ledger.spend(old.length);
      internals.store.writePages(
        set,
        old.map(({ no, box }) => {
          const place = { kind: 'page', set, no } as const;
          return [no, internals.cipher.seal(place, keyId, internals.cipher.open(place, box))];
        }),
      );
      const last = pages.at(-1);
      const ended = last === undefined || pages.length < limit;
      ledger.change({ rotation: ended ? { sets: sets.slice(1), no: 0 } : { sets, no: last.no + 1 } });
      ledger.save();
      return [];
    }
    const older = keys.filter(({ id }) => id !== keyId).map(({ id }) => id);
    for (const id of older) internals.store.deleteWrappedKey(id);
    ledger.change({ rotation: null, keys: keys.filter(({ id }) => id === keyId) });
    ledger.save();
    return older;
  });
  for (const id of destroyed) internals.cipher.removeKey(id);
}

const setsOf = (header: Header): readonly number[] => [
  header.set,
  ...(header.compaction === null ? [] : [header.compaction.set]),
  ...header.restorePoints.map(({ id }) => id),
];
