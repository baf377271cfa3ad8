import { SealedError } from './errors.ts';

/** What a statement may do: `read` changes nothing, `write` changes rows, `schema` changes tables. */
export type StatementKind = 'read' | 'write' | 'schema';

const KINDS: Readonly<Record<string, StatementKind>> = {
  SELECT: 'read',
  VALUES: 'read',
  PRAGMA: 'read',
  INSERT: 'write',
  UPDATE: 'write',
  DELETE: 'write',
  REPLACE: 'write',
  // May begin either; as a write it is only put into a transaction of its own.
  WITH: 'write',
  CREATE: 'schema',
  ALTER: 'schema',
  DROP: 'schema',
  ANALYZE: 'schema',
  REINDEX: 'schema',
};

/**
 * Pragmas that only read, or that last for one transaction. All others are refused before they are prepared, as some take
 * effect then: `journal_mode`, `cache_spill`, `auto_vacuum`, `page_size` and their kin each open a way past the pager.
 */
const PRAGMAS =
  /^PRAGMA\s+(?:main\s*\.\s*)?(?:(?:integrity_check|quick_check|foreign_key_check|foreign_key_list|index_info|index_list|index_xinfo|table_info|table_list|table_xinfo)(?:\s*\([^()]*\))?|application_id|cache_size|cell_size_check|compile_options|encoding|freelist_count|journal_mode|page_count|page_size|schema_version|secure_delete|user_version|defer_foreign_keys(?:\s*=\s*\w+)?)\s*;?\s*$/i;

const BLANK = /^(?:[\s;]|--[^\n]*(?:\n|$)|\/\*[\s\S]*?(?:\*\/|$))+/;
const EXPLAIN = /^EXPLAIN(?:\s+QUERY\s+PLAN)?\b/i;
/** Temporary tables are no pages of ours, so a change of theirs would look like an escape. */
const TEMPORARY = /^CREATE\s+TEMP(?:ORARY)?\b/i;

/** Text without blanks and comments before its first statement; empty when there is none. */
export const trimStart = (text: string): string => text.replace(BLANK, '');

/** What the first statement of `text` does. Throws `forbidden` for what could lead past the pager. */
export function kindOf(text: string): StatementKind {
  const statement = trimStart(text);
  if (EXPLAIN.test(statement)) {
    kindOf(statement.replace(EXPLAIN, ''));
    return 'read';
  }
  const keyword = /^[A-Za-z]+/.exec(statement)?.[0].toUpperCase() ?? '';
  const kind = KINDS[keyword];
  if (kind === undefined) throw new SealedError('forbidden', `${keyword || 'this'} is refused as a statement of its own`);
  if (keyword === 'PRAGMA' && !PRAGMAS.test(firstLine(statement))) {
    throw new SealedError('forbidden', `this PRAGMA is refused: ${statement.slice(0, 60)}`);
  }
  if (TEMPORARY.test(statement)) throw new SealedError('forbidden', 'temporary tables and triggers are refused');
  return kind;
}

/** Up to the end of the statement; a pragma holds no semicolon. */
const firstLine = (statement: string): string => statement.split(';', 1)[0] ?? '';

/** Whether the text is certainly one statement: no semicolon but at its end. */
export const isPlainlySingle = (text: string): boolean => !text.trimEnd().slice(0, -1).includes(';');
