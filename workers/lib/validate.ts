import type * as z from 'zod';
import type { FieldError, FleetError } from '../../shared/errors.ts';
import { err, ok, type Result } from '../../shared/result.ts';

/** Field errors one reply names; a body of a million unknown keys must not be echoed. */
const ERRORS_MAX = 32;
const PATH_CHARS_MAX = 200;

/** Parses with the schema; a failure is `validation_failed` with a path for each place. */
export function validate<S extends z.ZodType>(schema: S, value: unknown, prefix = ''): Result<z.output<S>, FleetError> {
  const parsed = schema.safeParse(value);
  return parsed.success ? ok(parsed.data) : err(invalid(fieldErrors(parsed.error.issues, prefix)));
}

/** The refusal for input that is well-formed JSON but not what the route takes. */
export const invalid = (errors: readonly FieldError[]): FleetError => ({
  kind: 'validation_failed',
  errors,
  detail: errors[0] === undefined ? 'The input fails its schema.' : `${errors[0].path || 'The body'}: ${errors[0].message}`,
});

export const invalidField = (path: string, message: string): FleetError => invalid([{ path, message }]);

function fieldErrors(issues: readonly z.core.$ZodIssue[], prefix: string): readonly FieldError[] {
  const found: FieldError[] = [];
  for (const issue of issues) {
    if (found.length >= ERRORS_MAX) break;
    const path = issue.path.map(String);
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys.slice(0, ERRORS_MAX - found.length))
        found.push(fieldError([...path, key], prefix, 'is not a known field'));
    } else if (issue.code === 'invalid_key') {
      // A record's key that fails has its own issues, without a path of their own.
      found.push(fieldError(path, prefix, issue.issues[0]?.message ?? issue.message));
    } else {
      found.push(fieldError(path, prefix, issue.message));
    }
  }
  return found;
}

function fieldError(path: readonly string[], prefix: string, message: string): FieldError {
  const dotted = [...(prefix === '' ? [] : [prefix]), ...path].join('.');
  return { path: dotted.slice(0, PATH_CHARS_MAX), message };
}
