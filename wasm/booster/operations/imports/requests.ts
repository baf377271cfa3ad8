import type { Session } from '../../engine.ts';
import type { LanguageId } from '../../languages.ts';
import type { Snapshot } from '../../snapshot.ts';
import { parsedOrRefuse, refuse } from '../result.ts';
import type { ImportParts } from '../task.ts';
import { type Dialect, isComment, type RawEntry, type Style } from './model.ts';

/** An import that the caller named, read like one of the file. */
export interface Request {
  readonly tree: Snapshot;
  readonly entry: RawEntry;
}

/** A request to remove may also be a bare name or module. */
export type Removal = Request | { readonly bare: string };

const STATEMENT = /^(?:import|from|use|pub)\b/;

/** Reads statements or parts; anything in them that is not an import is refused, so nothing else can come in with it. */
export function readRequests(
  session: Session,
  language: LanguageId,
  dialect: Dialect,
  given: string | ImportParts,
  style: Style,
): readonly Request[] {
  const parts = typeof given === 'string' && !STATEMENT.test(given.trim()) ? { module: unquoted(given) } : given;
  const code = typeof parts === 'string' ? parts.trim() : statementOf(dialect, language, parts, style);
  const shown = code.slice(0, 120);
  const { snapshot: tree } = parsedOrRefuse(session.parse(language, dialect.asFile(code)));
  const entries = dialect.entries(tree);
  const other = tree
    .namedChildren(0)
    .some(
      (node) =>
        !/^(import|use|future_import|package)_|^import_|^(empty_statement)$/.test(tree.type(node)) && !isComment(tree, node),
    );
  if (tree.errorCount > 0 || other || entries.length === 0)
    refuse('does_not_parse', `'${shown}' is not an import statement of ${language}`);
  if (typeof parts !== 'string') refuseOthers(entries, parts, shown);
  return entries.map((entry) => ({ tree, entry }));
}

export function readRemovals(
  session: Session,
  language: LanguageId,
  dialect: Dialect,
  given: string | ImportParts,
  style: Style,
): readonly Removal[] {
  if (typeof given === 'string' && !STATEMENT.test(given.trim())) {
    if (given.trim() === '') refuse('empty', 'an import to remove has no name');
    return [{ bare: unquoted(given) }];
  }
  return readRequests(session, language, dialect, given, style);
}

const unquoted = (text: string): string => text.trim().replace(/^(["'])(.*)\1$/, '$2');

function statementOf(dialect: Dialect, language: LanguageId, parts: ImportParts, style: Style): string {
  if (parts.module.trim() === '') refuse('empty', 'an import has no module');
  return dialect.statement(parts, style) ?? refuse('unsupported', `${language} has no import of this form`);
}

/** Parts are values: one that brings syntax of its own along is none. */
function refuseOthers(entries: readonly RawEntry[], parts: ImportParts, shown: string): void {
  const count = (parts.names?.length ?? 0) + (parts.default === undefined ? 0 : 1) + (parts.namespace === undefined ? 0 : 1);
  const names = entries.reduce((sum, entry) => sum + entry.names.length, 0);
  const texts = [parts.module, ...(parts.names ?? []), parts.default ?? '', parts.namespace ?? ''];
  const clean = texts.every((text) => !/[\n\r;{}()"'`]/.test(text));
  if (!clean || (count > 0 && names !== count)) refuse('does_not_parse', `'${shown}' is not one import`);
}
