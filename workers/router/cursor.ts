import type { FleetError } from '../../shared/errors.ts';
import { err, ok, type Result } from '../../shared/result.ts';
import { sha256Hex } from '../lib/sha256.ts';

const CURSOR_CHARS_MAX = 512;
const INVALID: FleetError = { kind: 'invalid_cursor', detail: 'The cursor is not one of this list with these filters.' };

/** What a list was filtered by: a cursor of another list or other filters must not be read as one of this. */
export const filterHash = (list: string, filter: Readonly<Record<string, string | undefined>>): string =>
  sha256Hex(
    JSON.stringify([
      list,
      ...Object.entries(filter)
        .filter(([, value]) => value !== undefined)
        .sort(byName),
    ]),
  ).slice(0, 16);

const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1);

/** A cursor: where the page before ended. Opaque to callers, checked like any other input when it comes back. */
export const writeCursor = (hash: string, after: string): string =>
  btoa(JSON.stringify([hash, after]))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');

/** The last id of the page before; null without a cursor. */
export function readCursor(hash: string, cursor: string | undefined): Result<string | null, FleetError> {
  if (cursor === undefined) return ok(null);
  if (cursor.length > CURSOR_CHARS_MAX || !/^[A-Za-z0-9_-]+$/.test(cursor)) return err(INVALID);
  try {
    const read: unknown = JSON.parse(atob(cursor.replaceAll('-', '+').replaceAll('_', '/')));
    if (!Array.isArray(read) || read.length !== 2) return err(INVALID);
    const [readHash, after] = read as [unknown, unknown];
    return readHash === hash && typeof after === 'string' && writeCursor(hash, after) === cursor ? ok(after) : err(INVALID);
  } catch {
    return err(INVALID);
  }
}
