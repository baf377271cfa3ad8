import type { Connection, Value } from './connection.ts';
import { SealedError } from './errors.ts';
import type { Engine, Internals } from './internals.ts';
import type { Compaction } from './ledger.ts';
import { copyRows, createSet, type OpenSet, withSet } from './page-sets.ts';
import {
  COMPACTION_PREFIX,
  deleteRow,
  KEY_COLUMNS_MAX,
  lastKeyOf,
  quoted,
  rowOf,
  schemaOf,
  type StoredTable,
  storedTablesOf,
  writeRow,
} from './tables.ts';

/** Of one step. Rows may be large, so bytes count as well. */
const STEP_ROWS = 512;
const STEP_BYTES = 2 * 2 ** 20;

const LOG = `${COMPACTION_PREFIX}_log`;
const KEYS = Array.from({ length: KEY_COLUMNS_MAX }, (_, index) => `k${index + 1}`);

/**
 * Compaction writes the rows into a fresh page set, step by step, while the database is served: `VACUUM` would replace the
 * file underneath the pager. What changes meanwhile is logged by triggers, key by key, in the database itself, so a crash
 * loses nothing of it; when all rows are copied the log is worked off, and the step that finds it short enough to finish
 * switches to the new set. Each step is one host transaction; between any two the old set is whole and served.
 *
 * Answers false while an earlier one has not ended.
 */
export function startCompaction(internals: Internals): boolean {
  return internals.step((engine) => {
    if (engine.ledger.header.compaction !== null) return false;
    const { connection: source } = engine;
    const tables = storedTablesOf(source);
    source.transaction(() => createLog(source, tables));
    engine.pager.flush();
    const set = createSet(internals, engine);
    const objects = schemaOf(source);
    const pages = withSet(internals, engine, { set, pages: 1 }, ({ connection, write }) => {
      write(() => {
        for (const { type, sql } of objects) if (type === 'table' || type === 'index') connection.exec(sql, []);
      });
      return connection.pageCount;
    });
    engine.ledger.change({ compaction: { set, pages, schemaVersion: source.schemaVersion, tablesCopied: 0 } });
    engine.ledger.save();
    return true;
  });
}

/** One bounded step. A change of the schema meanwhile (a migration) ends the compaction; it may be started again. */
export function compactStep(internals: Internals): void {
  internals.step((engine) => {
    const { compaction } = engine.ledger.header;
    if (compaction === null) return;
    const { connection: source } = engine;
    if (source.schemaVersion !== compaction.schemaVersion) {
      abandon(engine, compaction);
      return;
    }
    const tables = storedTablesOf(source);
    withSet(internals, engine, compaction, (target) => {
      const table = tables[compaction.tablesCopied];
      if (table === undefined) replay(engine, target, tables, compaction);
      else copy(engine, target, table, compaction);
    });
    engine.ledger.save();
  });
}

/** Gives up a compaction; the database is as if there had been none. */
export function abandonCompaction(internals: Internals): void {
  internals.step((engine) => {
    const { compaction } = engine.ledger.header;
    if (compaction !== null) abandon(engine, compaction);
  });
}

function copy(engine: Engine, target: OpenSet, table: StoredTable, compaction: Compaction): void {
  let ended = false;
  target.write(() => {
    // Where the last step ended; the target itself knows.
    const after = lastKeyOf(target.connection, table);
    ended = copyRows(engine.connection, target.connection, table, { after, rowsMax: STEP_ROWS, bytesMax: STEP_BYTES }) === null;
  });
  engine.ledger.change({
    compaction: { ...compaction, pages: target.connection.pageCount, tablesCopied: compaction.tablesCopied + (ended ? 1 : 0) },
  });
}

function replay(engine: Engine, target: OpenSet, tables: readonly StoredTable[], compaction: Compaction): void {
  const { connection: source } = engine;
  const entries = source.values(`SELECT id, tab, ${KEYS.join(', ')} FROM ${LOG} ORDER BY id LIMIT ?`, [STEP_ROWS]);
  const isLast = entries.length < STEP_ROWS;
  target.write(() => {
    for (const [, at, ...key] of entries) applyEntry(source, target.connection, tables[Number(at)], key);
    if (isLast) finish(source, target.connection);
  });
  const pages = target.connection.pageCount;
  if (isLast) {
    // The log and its triggers stay behind with the old set.
    const { set, doomed } = engine.ledger.header;
    engine.ledger.change({ set: compaction.set, pages, compaction: null, doomed: [...doomed, set] });
    return;
  }
  source.transaction(() => source.values(`DELETE FROM ${LOG} WHERE id <= ?`, [entries.at(-1)?.[0] ?? 0]));
  engine.ledger.change({ compaction: { ...compaction, pages } });
  engine.pager.flush();
}

/** The row as it is now, whatever has happened to it. */
function applyEntry(source: Connection, target: Connection, table: StoredTable | undefined, columns: readonly Value[]): void {
  if (table === undefined) throw new SealedError('incompatible', 'the log of a compaction names a table that is not there');
  const key = columns.slice(0, table.key.length);
  deleteRow(target, table, key);
  const row = rowOf(source, table, key);
  if (row !== undefined) writeRow(target, table, row);
}

/** What must not act while rows are copied. */
function finish(source: Connection, target: Connection): void {
  copySequences(source, target);
  for (const { type, sql } of schemaOf(source)) if (type === 'trigger' || type === 'view') target.exec(sql, []);
}

/** Next numbers of AUTOINCREMENT tables. */
export function copySequences(source: Connection, target: Connection): void {
  const has = "SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'";
  if (source.values(has, []).length === 0 || target.values(has, []).length === 0) return;
  target.values('DELETE FROM sqlite_sequence', []);
  for (const row of source.values('SELECT name, seq FROM sqlite_sequence', [])) {
    target.values('INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)', row);
  }
}

function createLog(source: Connection, tables: readonly StoredTable[]): void {
  source.exec(`CREATE TABLE ${LOG} (id INTEGER PRIMARY KEY, tab INTEGER NOT NULL, ${KEYS.join(', ')})`, []);
  for (const [at, table] of tables.entries()) {
    const log = (which: 'OLD' | 'NEW'): string => {
      const columns = KEYS.slice(0, table.key.length).join(', ');
      const key = table.key.map((column) => `${which}.${quoted(column)}`).join(', ');
      return `INSERT INTO ${LOG} (tab, ${columns}) VALUES (${at}, ${key});`;
    };
    const triggers = [
      ['INSERT', log('NEW')],
      ['UPDATE', log('OLD') + log('NEW')],
      ['DELETE', log('OLD')],
    ] as const;
    for (const [event, body] of triggers) {
      const name = quoted(`${COMPACTION_PREFIX}_${event.toLowerCase()}_${at}`);
      source.exec(`CREATE TRIGGER ${name} AFTER ${event} ON ${quoted(table.name)} BEGIN ${body} END`, []);
    }
  }
}

function abandon(engine: Engine, { set }: Compaction): void {
  const { connection: source, pager, ledger } = engine;
  const query = `SELECT name FROM sqlite_master WHERE type = 'trigger' AND name GLOB '${COMPACTION_PREFIX}*'`;
  const triggers = source.values(query, []);
  source.transaction(() => {
    for (const [name] of triggers) source.exec(`DROP TRIGGER ${quoted(String(name))}`, []);
    source.exec(`DROP TABLE IF EXISTS ${LOG}`, []);
  });
  ledger.change({ compaction: null, doomed: [...ledger.header.doomed, set] });
  pager.flush();
  ledger.save();
}
