import { MEMORY_LIMITS } from '../../../shared/memory-limits.ts';
import { MemorySettingsSchema, type MemorySettings } from '../../../shared/schemas/memory.ts';
import { COLUMNS, type EntryRow } from './entry-rows.ts';
import { first, rows, run, sql, type Sql } from './sql.ts';
import type { Step } from './step.ts';
import { wordsOfEntry } from './text.ts';

/** The swarm's settings; each member that was never set has its default. */
export function settingsOf(db: Sql): MemorySettings {
  const stored = first<{ settings: string }>(db, sql`SELECT settings FROM settings WHERE id = 1`);
  return MemorySettingsSchema.parse(stored === null ? {} : JSON.parse(stored.settings));
}

const isIndexed = (settings: MemorySettings, key: string): boolean => settings.textIndex.some((prefix) => key.startsWith(prefix));

/**
 * Brings the words of an entry into the index, or out of it. Only keys of chosen beginnings are indexed: an index costs several
 * pages per write, and a search finds the others without one.
 */
export function indexText(step: Step, row: EntryRow, before: EntryRow | null): void {
  if ((before?.terms ?? 0) > 0) run(step.db, sql`DELETE FROM terms WHERE memory_id = ${row.id}`);
  const words = isIndexed(settingsOf(step.db), row.key) ? wordsOfEntry(row.key, row.value).filter((word) => word !== '') : [];
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  // More different words than that, or longer ones, and the index would not know all of them: then the entry is looked through as it is.
  const fits =
    counts.size > 0 &&
    counts.size <= MEMORY_LIMITS.indexedTerms &&
    words.every((word) => word.length <= MEMORY_LIMITS.indexedTermChars);
  if (fits) {
    for (const [term, count] of counts) {
      run(step.db, sql`INSERT INTO terms (term, memory_id, count) VALUES (${term}, ${row.id}, ${count})`);
    }
  }
  const terms = fits ? words.length : 0;
  if (terms !== (before?.terms ?? 0)) run(step.db, sql`UPDATE memory SET terms = ${terms} WHERE id = ${row.id}`);
}

/** Entries that one call indexes anew; the alarm goes on. */
const REINDEX_STEP = 100;

/** One step towards what the settings ask for; answers whether more is left. A search finds what is not indexed yet, too. */
export function reindex(step: Step): boolean {
  const { db } = step;
  const at =
    first<{ reindex_after: number | null }>(db, sql`SELECT reindex_after FROM settings WHERE id = 1`)?.reindex_after ?? null;
  if (at === null) return false;
  const settings = settingsOf(db);
  const due = rows<EntryRow>(db, sql`SELECT ${COLUMNS} FROM memory m WHERE m.id > ${at} ORDER BY m.id LIMIT ${REINDEX_STEP}`);
  for (const row of due) {
    if (isIndexed(settings, row.key) !== row.terms > 0) indexText(step, row, row);
  }
  const next = due.length < REINDEX_STEP ? null : (due.at(-1)?.id ?? null);
  run(db, sql`UPDATE settings SET reindex_after = ${next}`);
  return next !== null;
}
