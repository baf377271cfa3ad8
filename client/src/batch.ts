import type { BatchItem, Problem } from './types.ts';
import { type ApiError, apiErrorOf } from './errors.ts';

/** One answer of a batch call: a failed item says why and changes nothing for the others. */
export type BatchResult<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: ApiError };

/** Part of a request that is not items: brackets, commas, names. */
const ENVELOPE_BYTES = 256;

/** Cuts items into calls that stay under the fleet's number and byte limits. A single oversized item goes alone, to be refused by name. */
export function chunk<T>(items: readonly T[], maxItems: number, maxBytes: number): T[][] {
  const chunks: T[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const item of items) {
    const itemBytes = jsonBytes(item) + 1;
    const last = chunks.at(-1);
    if (last === undefined || last.length >= maxItems || bytes + itemBytes > maxBytes) {
      chunks.push([item]);
      bytes = ENVELOPE_BYTES + itemBytes;
    } else {
      last.push(item);
      bytes += itemBytes;
    }
  }
  return chunks;
}

const encoder = new TextEncoder();
const NOT_ASCII = /[^\0-\x7f]/;

/** Length of a value's JSON in UTF-8. */
export const jsonBytes = (value: unknown): number => utf8Length(JSON.stringify(value) ?? '');

/** Length of a text in UTF-8. */
export const utf8Length = (text: string): number => (NOT_ASCII.test(text) ? encoder.encode(text).byteLength : text.length);

/** The batch item as a result whose failure is the same typed error a single call would throw. */
export function batchResult<T>(item: BatchItem<T>): BatchResult<T> {
  if ('problem' in item) return { ok: false, error: apiErrorOf(withDefaults(item.problem, item.status)) };
  return { ok: true, value: item.body };
}

const withDefaults = (problem: Problem, status: number): Problem => ({ ...problem, status: problem.status ?? status });
