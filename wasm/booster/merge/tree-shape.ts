import type { Snapshot } from '../snapshot.ts';
import { weightOf } from './align-lines.ts';
import type { Side } from './tree-match.ts';

/** A node with the white space that its line begins with, or with a space if it does not begin its line. */
export function pieceOf(snapshot: Snapshot, node: number, indent: string): string {
  const start = snapshot.start(node);
  const before = snapshot.source.slice(snapshot.source.lastIndexOf('\n', start - 1) + 1, start);
  const text = indent === '' ? snapshot.text(node) : snapshot.text(node).replaceAll('\n', `\n${indent}`);
  return before.trim() === '' ? `\n${indent}${before}${text}` : ` ${text}`;
}

const CASE =
  /^(?:switch_case|switch_default|expression_case|default_case|type_case|communication_case|switch_block_statement_group)$/;

export const isCase = (snapshot: Snapshot, node: number): boolean => CASE.test(snapshot.type(node));

export const isStatementList = (snapshot: Snapshot, node: number): boolean =>
  /^(?:program|module|source_file|block|statement_block|constructor_body)$/.test(snapshot.type(node)) || isCase(snapshot, node);

/** Whether nodes are children of a list, so that some may be left out: a chain of calls nests, and is none. */
export function isList(side: Side, kids: readonly number[]): boolean {
  const { snapshot } = side;
  const [first] = kids;
  if (first === undefined) return false;
  const container = side.container(first);
  return (
    isStatementList(snapshot, container) ||
    snapshot.type(first) === 'jsx_opening_element' ||
    /^[[({<]$/.test(snapshot.source[snapshot.start(first)] ?? '')
  );
}

/** A list of statements that no bracket ends. */
const isUnclosed = (snapshot: Snapshot, node: number): boolean => snapshot.type(node) === 'block' || isCase(snapshot, node);

/** Whether a statement ends with such a list. */
export function endsWithBlock(snapshot: Snapshot, node: number): boolean {
  if (isUnclosed(snapshot, node)) return true;
  const last = snapshot.namedChildren(node).at(-1);
  return last !== undefined && /^(?:block|.*_clause|.*_definition)$/.test(snapshot.type(last)) && endsWithBlock(snapshot, last);
}

/** Whether the text of a node can tell a place: brackets and `return;` cannot. */
export function isTelling({ snapshot }: Side, node: number): boolean {
  const text = snapshot.text(node);
  return text.includes('\n') || weightOf(text) === 'plain';
}
