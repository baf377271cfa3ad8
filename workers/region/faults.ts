import type { FleetError } from '../../shared/errors.ts';
import { err, type Result } from '../../shared/result.ts';

/** An object that has more calls than it can serve. The platform and our group commit mark the error alike. */
export const isOverloaded = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && 'overloaded' in error && error.overloaded === true;

export const overloaded = (): FleetError => ({
  kind: 'overloaded',
  retryAfterMs: 1_000,
  detail: 'Too many requests for this pool at once.',
});

/** Turns overload into an answer. Any other error means that the region is in trouble, which the router must see. */
export async function orOverloaded<T>(work: Promise<Result<T, FleetError>>): Promise<Result<T, FleetError>> {
  try {
    return await work;
  } catch (error) {
    if (isOverloaded(error)) return err(overloaded());
    throw error;
  }
}
