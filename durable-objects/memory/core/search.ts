import type { FleetError } from '../../../shared/errors.ts';
import { MEMORY_LIMITS } from '../../../shared/memory-limits.ts';
import type { EntryView, MemoryCommandMap } from '../../../shared/memory-rpc.ts';
import { ok, type Result } from '../../../shared/result.ts';
import { COLUMNS, filtered, permitted, viewOf, type EntryRow } from './entry-rows.ts';
import { first, join, rows, sql, type Fragment, type Row } from './sql.ts';
import type { Step } from './step.ts';
import { occurrences, parseQuery, textScore, wordsOfEntry, type Wanted } from './text.ts';

type Input = MemoryCommandMap['search'][0];
type Output = MemoryCommandMap['search'][1];
interface Found {
  readonly id: number;
  readonly score: number;
  readonly bytes: number;
}
/** Bytes of values that this search may still read. */
interface Budget {
  left: number;
}

/** Candidates of one search that are ranked: more than that many entries with all the words tell a caller little. */
const RANKED_MAX = 2_000;
const SCAN_ROWS = 200;
/** Values that are in memory at one time while entries are looked through. */
const SCAN_BYTES = 2_097_152;

/**
 * Entries with all the words, best first. What the caller may not read is left out before anything is counted or ranked, so
 * neither results nor their order tell of it.
 */
export function search(step: Step, input: Input): Result<Output, FleetError> {
  step.count('search');
  const wanted = parseQuery(input.query, MEMORY_LIMITS.searchTerms);
  if (wanted.length === 0) return ok({ data: [], complete: true });
  const visible = [permitted(step, 'read'), ...filtered(input)];
  const budget: Budget = { left: MEMORY_LIMITS.searchBytes };
  const known = indexed(step, wanted, visible);
  const scanned = scan(step, wanted, visible, budget);
  const best = [...known, ...scanned.found].sort((a, b) => b.score - a.score || a.id - b.id);
  const data: (EntryView & { readonly score: number })[] = [];
  let complete = scanned.complete && known.length < RANKED_MAX;
  let answered = 0;
  for (const { id, score, bytes } of best) {
    if (data.length >= input.limit) break;
    budget.left -= bytes;
    // The first is always given: a search that finds one large entry must not answer nothing.
    if (data.length > 0 && (budget.left < 0 || answered + bytes > MEMORY_LIMITS.pageBytes)) {
      complete = false;
      break;
    }
    const row = first<EntryRow>(step.db, sql`SELECT ${COLUMNS} FROM memory m WHERE m.id = ${id}`);
    // The index knows words, not their order.
    if (row === null || !holds(wordsOfEntry(row.key, row.value), wanted)) continue;
    data.push({ ...viewOf(row, step.region), score: Number(score.toFixed(4)) });
    answered += bytes;
  }
  return ok({ data, complete });
}

const holds = (words: readonly string[], wanted: readonly Wanted[]): boolean =>
  wanted.every((part) => occurrences(words, part) > 0);

interface CountedRow extends Row {
  readonly id: number;
  readonly terms: number;
  readonly value_bytes: number;
}

function indexed(step: Step, wanted: readonly Wanted[], visible: readonly Fragment[]): Found[] {
  const parts = wanted.flatMap(({ words, isPrefix }) =>
    words.map((word, i) =>
      isPrefix && i === words.length - 1 ? sql`t.term >= ${word} AND t.term < ${`${word}\u{10ffff}`}` : sql`t.term = ${word}`,
    ),
  );
  const having = parts.map((part) => sql`m.id IN (SELECT t.memory_id FROM terms t WHERE ${part})`);
  const counts = parts.map(
    (part, i) =>
      sql`(SELECT SUM(t.count) FROM terms t WHERE t.memory_id = m.id AND ${part}) AS n${{ text: String(i), values: [] }}`,
  );
  const found = rows<CountedRow>(
    step.db,
    sql`SELECT m.id, m.terms, m.value_bytes, ${join(counts, ', ')} FROM memory m
      WHERE ${join([...having, sql`m.terms > 0`, ...visible], ' AND ')} ORDER BY m.id DESC LIMIT ${RANKED_MAX}`,
  );
  return found.map((row) => ({
    id: row.id,
    bytes: row.value_bytes,
    score: textScore(
      parts.map((_, i) => Number(row[`n${i}`] ?? 0)),
      row.terms,
    ),
  }));
}

/** Entries outside of any index, newest first and only so many: the index is there for what grows large. */
function scan(
  step: Step,
  wanted: readonly Wanted[],
  visible: readonly Fragment[],
  budget: Budget,
): { readonly found: readonly Found[]; readonly complete: boolean } {
  const found: Found[] = [];
  let below = Number.MAX_SAFE_INTEGER;
  for (let looked = 0; looked < MEMORY_LIMITS.searchScan; looked += SCAN_ROWS) {
    // Sizes first: a page of values of a megabyte each would not fit the object's memory.
    const page = rows<{ id: number; bytes: number }>(
      step.db,
      sql`SELECT m.id, m.value_bytes AS bytes FROM memory m
        WHERE ${join([sql`m.id < ${below}`, sql`m.terms = 0`, ...visible], ' AND ')} ORDER BY m.id DESC LIMIT ${SCAN_ROWS}`,
    );
    for (const group of groupsOf(page, SCAN_BYTES)) {
      budget.left -= group.reduce((sum, { bytes }) => sum + bytes, 0);
      if (budget.left < 0) return { found, complete: false };
      for (const row of valuesOf(step, group)) {
        const words = wordsOfEntry(row.key, row.value);
        const counts = wanted.map((part) => occurrences(words, part));
        if (!counts.every((count) => count > 0)) continue;
        found.push({ id: row.id, score: textScore(counts, words.length), bytes: row.value_bytes });
      }
    }
    const last = page.at(-1);
    if (page.length < SCAN_ROWS || last === undefined) return { found, complete: true };
    below = last.id;
  }
  return { found, complete: false };
}

/** Rows in groups of at most so many bytes, or of one row. */
function groupsOf<R extends { readonly bytes: number }>(page: readonly R[], most: number): readonly (readonly R[])[] {
  const groups: R[][] = [];
  let bytes = most;
  for (const row of page) {
    if (bytes + row.bytes > most) {
      groups.push([]);
      bytes = 0;
    }
    bytes += row.bytes;
    groups.at(-1)?.push(row);
  }
  return groups;
}

const valuesOf = (step: Step, group: readonly { readonly id: number }[]): readonly EntryRow[] =>
  rows<EntryRow>(
    step.db,
    sql`SELECT ${COLUMNS} FROM memory m WHERE m.id IN (SELECT value FROM json_each(${JSON.stringify(group.map(({ id }) => id))}))
      ORDER BY m.id DESC`,
  );
