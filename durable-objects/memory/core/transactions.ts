import type { FleetError } from '../../../shared/errors.ts';
import type { MemoryCommandMap } from '../../../shared/memory-rpc.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import { find } from './entry-rows.ts';
import { audit } from './records.ts';
import type { Step } from './step.ts';
import { checkVersion, removeEntry, startWrite, storeAs } from './writing.ts';

/** Undoes what a transaction did before the operation that was refused. */
export class Undo extends Error {
  override readonly name = 'Undo';
  readonly error: FleetError;
  constructor(error: FleetError) {
    super('undone');
    this.error = error;
  }
}

/**
 * All operations in order, each seeing the ones before, or none of them. Run inside a savepoint: a refusal is thrown as `Undo`
 * so that what was done is undone, the refusal of a version included.
 */
export function transaction(
  step: Step,
  input: MemoryCommandMap['transaction'][0],
): Result<MemoryCommandMap['transaction'][1], FleetError> {
  const held = startWrite(step, input.lease);
  if (!held.ok) return held;
  const versions: { readonly key: string; readonly version: number }[] = [];
  for (const [i, operation] of input.operations.entries()) {
    const done = apply(step, operation, held.value);
    if (!done.ok) throw new Undo(at(done.error, i));
    versions.push({ key: operation.key, version: done.value });
  }
  audit(step, 'transaction', versions.length);
  return ok({ versions });
}

function apply(
  step: Step,
  operation: MemoryCommandMap['transaction'][0]['operations'][number],
  provenance: Parameters<typeof storeAs>[2],
): Result<number, FleetError> {
  switch (operation.op) {
    case 'put': {
      const stored = storeAs(step, operation, provenance);
      return stored.ok ? ok(stored.value.entry.version) : stored;
    }
    case 'delete': {
      const removed = removeEntry(step, operation);
      return removed.ok ? ok(removed.value.version) : removed;
    }
    case 'check': {
      const row = find(step, operation, 'read', { values: false });
      const unmet = checkVersion(step, operation.ifVersion, row, operation.key);
      return unmet === null ? ok(row?.version ?? 0) : err(unmet);
    }
  }
}

const at = (error: FleetError, index: number): FleetError => ({ ...error, detail: `operations.${index}: ${error.detail}` });
