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
  // More different words than that and the index would not know all of them: then the entry is looked through as it is.
  const fits = counts.size > 0 && counts.size <= MEMORY_LIMITS.indexedTerms;
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

/** Indexes what the settings now ask for and is not yet; answers whether more is left. `after`: the last id looked at. */
export function reindex(step: Step, after: number): number | null {
  const settings = settingsOf(step.db);
  const due = rows<EntryRow>(step.db, sql`SELECT ${COLUMNS} FROM memory m WHERE m.id > ${after} ORDER BY m.id LIMIT ${REINDEX_STEP}`);
  for (const row of due) {
    if (isIndexed(settings, row.key) !== row.terms > 0) indexText(step, row, row);
  }
  return due.length < REINDEX_STEP ? null : (due.at(-1)?.id ?? null);
}
