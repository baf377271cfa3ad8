import type { LanguageId } from '../languages.ts';
import type { Snapshot } from '../snapshot.ts';
import type { EditItem } from './edit-items.ts';
import type { Context } from './context.ts';
import { commonIndent, indentOf, isBlank, reindent } from './text.ts';

type Shell = readonly [open: string, close: string];

/** What makes members parse that stand without their class. */
export const MEMBER_SHELLS: Partial<Readonly<Record<LanguageId, Shell>>> = {
  javascript: ['class BoosterShell {', '}'],
  typescript: ['class BoosterShell {', '}'],
  tsx: ['class BoosterShell {', '}'],
  java: ['class BoosterShell {', '}'],
  rust: ['impl BoosterShell {', '}'],
};

/** What makes statements parse that stand without their function, where a file cannot hold them. */
const STATEMENT_SHELLS: Partial<Readonly<Record<LanguageId, Shell>>> = {
  go: ['package shell; func boosterShell() {', '}'],
  rust: ['fn booster_shell() {', '}'],
};

/** Stands for a marker: text that nobody writes. */
const ELIDED = 'BOOSTER_ELIDED';

/** The edit as a syntax tree, parsed once for all that look at it. */
export interface EditTree {
  readonly snapshot: Snapshot;
  /** The node whose children are the edit's outermost ones. */
  readonly container: number;
  /** Row of the parsed source at which item 0 stands; each item has one row. */
  readonly firstRow: number;
  /** What was taken off the beginning of each row. */
  readonly indent: string;
  /** Nodes that stand for markers. */
  readonly markers: ReadonlySet<number>;
}

/** Null if the edit does not parse, alone or as members or statements: then its tree says nothing. */
export function editTreeOf(context: Context, items: readonly EditItem[]): EditTree | null {
  const rows = rowsOf(context.language, items);
  const indent = commonIndent(rows);
  const plain = reindent(rows, indent, '');
  const bare = context.parse(`${plain.join('\n')}\n`).snapshot;
  if (bare.errorCount === 0) return withMarkers(bare, 0, 0, indent, items);
  for (const shell of [MEMBER_SHELLS[context.language], STATEMENT_SHELLS[context.language]]) {
    if (shell === undefined) continue;
    const { snapshot } = context.parse(`${shell[0]}\n${plain.join('\n')}\n${shell[1]}\n`);
    if (snapshot.errorCount > 0) continue;
    const outermost = snapshot.namedChildren(0).findLast((child) => snapshot.start(child) < shell[0].length) ?? 0;
    const container = snapshot.childByField(outermost, 'body');
    // An edit that closes the shell by itself is something else.
    if (container < 0 || snapshot.end(outermost) < plain.join('\n').length) continue;
    return withMarkers(snapshot, container, 1, indent, items);
  }
  return null;
}

/** One row for each item, with markers as the language can hold them. */
function rowsOf(language: LanguageId, items: readonly EditItem[]): string[] {
  return items.map((item, at) => {
    if (item.kind === 'line') return item.text;
    if (language !== 'python') return item.text?.trim().startsWith('{') === true ? `{/*${ELIDED}*/}` : `//${ELIDED}`;
    const before = shown(items.slice(0, at).reverse());
    const after = shown(items.slice(at + 1));
    // Between brackets a comment may stand anywhere; among statements it would be part of none.
    if (/[,([{]\s*$/.test(before ?? '')) return `${indentOf(after ?? before ?? '')}# ${ELIDED}`;
    if (/:\s*$/.test(before ?? '')) {
      const own = indentOf(before ?? '');
      const inner = indentOf(after ?? '');
      return `${inner.length > own.length ? inner : `${own}    `}${ELIDED}`;
    }
    return `${indentOf(after ?? before ?? '')}${ELIDED}`;
  });
}

function shown(items: readonly EditItem[]): string | undefined {
  const item = items.find((each) => each.kind === 'line' && !isBlank(each.text));
  return item?.kind === 'line' ? item.text : undefined;
}

function withMarkers(
  snapshot: Snapshot,
  container: number,
  firstRow: number,
  indent: string,
  items: readonly EditItem[],
): EditTree | null {
  const wanted = items.filter(({ kind }) => kind === 'marker').length;
  const markers = new Set<number>();
  if (wanted > 0) {
    for (let node = 1; node < snapshot.count;) {
      const length = snapshot.end(node) - snapshot.start(node);
      const isMarker =
        length >= ELIDED.length &&
        length <= ELIDED.length + 4 &&
        /identifier|comment|^name$/.test(snapshot.type(node)) &&
        snapshot.text(node).includes(ELIDED);
      if (isMarker) markers.add(wholeOf(snapshot, node));
      node = isMarker ? snapshot.after(node) : node + 1;
    }
  }
  // A marker within a string or the text of an element is no node of its own.
  return markers.size === wanted ? { snapshot, container, firstRow, indent, markers } : null;
}

/** The statement, or the braces in JSX, that hold nothing but the placeholder. */
function wholeOf(snapshot: Snapshot, node: number): number {
  let whole = node;
  for (;;) {
    const parent = snapshot.parent(whole);
    if (parent < 0 || !/^(?:expression_statement|jsx_expression)$/.test(snapshot.type(parent))) return whole;
    whole = parent;
  }
}
