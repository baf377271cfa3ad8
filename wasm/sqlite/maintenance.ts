import { compactStep } from './compaction.ts';
import type { Internals } from './internals.ts';
import type { Rotation } from './ledger.ts';
import { rotateStep, rotationDueAtMs, startRotation } from './rotation.ts';

/** Pages of a page set nothing needs any more that go in one step. */
const TRIMMED_PAGES = 2_048;

/** When `maintain` has something to do: now, while anything is under way, else when the key is due. */
export function maintenanceDueAtMs(internals: Internals, periodMs: number): number {
  const { doomed, rotation, compaction } = internals.engine().ledger.header;
  if (doomed.length > 0 || rotation !== null || compaction !== null) return internals.nowMs();
  return rotationDueAtMs(internals, periodMs);
}

/** One bounded step of what is under way; a new key when the present one is due. */
export async function maintain(internals: Internals, periodMs: number): Promise<void> {
  const { doomed, rotation, compaction } = internals.engine().ledger.header;
  if (doomed.length > 0) trimStep(internals);
  else if (rotation !== null) rotateStep(internals);
  else if (compaction !== null) compactStep(internals);
  else if (rotationDueAtMs(internals, periodMs) <= internals.nowMs()) await startRotation(internals);
}

function trimStep(internals: Internals): void {
  internals.step(({ ledger }) => {
    const [set, ...others] = ledger.header.doomed;
    if (set === undefined || internals.store.trimSet(set, TRIMMED_PAGES)) return;
    internals.store.dropSet(set);
    const { rotation } = ledger.header;
    ledger.change({ doomed: others, rotation: rotation === null ? null : withoutSet(rotation, set) });
    ledger.save();
  });
}

/** A rotation need not look at what is no longer there. */
function withoutSet({ sets, no }: Rotation, set: number): Rotation {
  return { sets: sets.filter((other) => other !== set), no: sets[0] === set ? 0 : no };
}
