import type { FleetError } from '../../shared/errors.ts';
import { utf8Bytes } from '../../shared/json.ts';
import { LIMITS } from '../../shared/limits.ts';
import { err, ok, type Result } from '../../shared/result.ts';
import type { JsonText } from '../../shared/schemas/common.ts';
import { invalidField } from '../lib/validate.ts';

/** Free-form members, each with its own bound. Writing numbers out can make them longer than the body they came in. */
const BOUNDS = {
  metadata: LIMITS.metadataBytes,
  payload: LIMITS.payloadBytes,
  result: LIMITS.resultBytes,
  'result.data': LIMITS.resultBytes,
  progress: LIMITS.progressBytes,
  checkpoint: LIMITS.checkpointBytes,
} as const;
type Field = keyof typeof BOUNDS;

/** A free-form value as the text that is stored and passed on; `undefined` stays away. */
export function jsonField(field: Field, value: unknown): Result<JsonText | undefined, FleetError> {
  if (value === undefined) return ok(undefined);
  const text = JSON.stringify(value);
  const bound = BOUNDS[field];
  if (utf8Bytes(text) <= bound) return ok(text);
  // Payload and result share the body's limit and its answer; the smaller bounds are part of the schema.
  if (bound >= LIMITS.payloadBytes) {
    return err({ kind: 'payload_too_large', limitBytes: bound, detail: `${field} is larger than ${bound} bytes.` });
  }
  return err(invalidField(field, `is larger than ${bound} bytes`));
}
