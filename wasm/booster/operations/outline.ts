import type { Parsed } from '../engine.ts';
import type { Snapshot } from '../snapshot.ts';
import { outlineTable } from './outline-table.ts';
import { Positions, type Range } from './positions.ts';

export interface OutlineSymbol extends Range {
  readonly kind: string;
  readonly name: string;
  /** What is declared inside it. */
  readonly children?: readonly OutlineSymbol[];
}

export interface Outline {
  readonly language: string;
  readonly symbols: readonly OutlineSymbol[];
  /** There are more symbols than `OUTLINE_SYMBOLS_MAX`; the rest is left out. */
  readonly truncated: boolean;
  /** The source has syntax errors; what stands near them may be missing. */
  readonly hasErrors: boolean;
}

/** A declaration of a source. */
export interface Declaration {
  readonly node: number;
  readonly kind: string;
  readonly name: string;
  /** Index in the same list of the declaration it stands in, or -1. */
  readonly parent: number;
}

/** A file past this is generated, and an answer past this is of no use to its reader. */
export const OUTLINE_SYMBOLS_MAX = 5_000;

/** Bodies whose variables are locals. */
const BODIES = new Set([
  'statement_block',
  'block',
  'compound_statement',
  'function_body',
  'constructor_body',
  'arrow_function',
  'lambda_expression',
  'closure_expression',
]);

/** The declarations of a tree in document order, parents first. */
export function declarationsOf(tree: Snapshot, max = Number.POSITIVE_INFINITY): readonly Declaration[] {
  const table = outlineTable(tree.grammar.id);
  const found: Declaration[] = [];
  const open: { after: number; declaration: number }[] = [];
  let localUntil = 0;
  for (let node = 0; node < tree.count && found.length < max; node++) {
    while ((open.at(-1)?.after ?? Number.POSITIVE_INFINITY) <= node) open.pop();
    const type = tree.type(node);
    if (node >= localUntil && BODIES.has(type) && isFunctionBody(tree, node)) localUntil = tree.after(node);
    const rule = tree.isNamed(node) && Object.hasOwn(table, type) ? table[type] : undefined;
    if (rule === undefined || (rule.topOnly === true && node < localUntil)) continue;
    const parent = open.at(-1)?.declaration ?? -1;
    const names = rule.names?.(tree, node) ?? nameOf(tree, node);
    for (const { name, kind } of names) {
      if (name === '') continue;
      found.push({ node, kind: memberKind(tree, kind ?? rule.kind, found[parent]?.kind), name, parent });
    }
    if (names.length > 0) open.push({ after: tree.after(node), declaration: found.length - 1 });
  }
  return found;
}

/** The symbols of a source as a tree. */
export function outline(parsed: Parsed): Outline {
  const tree = parsed.snapshot;
  const positions = new Positions(parsed.source);
  const declarations = declarationsOf(tree, OUTLINE_SYMBOLS_MAX + 1);
  const truncated = declarations.length > OUTLINE_SYMBOLS_MAX;
  const kept = truncated ? declarations.slice(0, OUTLINE_SYMBOLS_MAX) : declarations;
  const symbols: OutlineSymbol[] = [];
  const lists = kept.map((): OutlineSymbol[] => []);
  // From the end, so that a symbol's list of children is complete when it is made.
  for (let index = kept.length - 1; index >= 0; index--) {
    const declaration = kept[index];
    if (declaration === undefined) continue;
    const children = lists[index] ?? [];
    const symbol: OutlineSymbol = {
      kind: declaration.kind,
      name: declaration.name,
      ...positions.range(tree.start(declaration.node), tree.end(declaration.node)),
      ...(children.length > 0 && { children: children.toReversed() }),
    };
    (lists[declaration.parent] ?? symbols).push(symbol);
  }
  return { language: parsed.language, symbols: symbols.toReversed(), truncated, hasErrors: tree.errorCount > 0 };
}

function nameOf(tree: Snapshot, node: number): readonly { name: string; kind?: string }[] {
  const name = tree.childByField(node, 'name');
  return name < 0 ? [] : [{ name: tree.text(name).replaceAll(/\s+/g, ' ').trim() }];
}

const CLASSES = new Set(['class', 'struct', 'interface', 'trait', 'impl', 'enum', 'record']);

/** Languages with one node type for functions and methods: the place says which it is. */
function memberKind(tree: Snapshot, kind: string, parentKind: string | undefined): string {
  if (parentKind === undefined || !CLASSES.has(parentKind)) return kind;
  if (kind === 'function') return 'method';
  return kind === 'variable' && tree.grammar.id === 'python' ? 'field' : kind;
}

/** Python's and Go's `block` is also the body of a class or a bare block; only a function's makes locals. */
function isFunctionBody(tree: Snapshot, node: number): boolean {
  const type = tree.type(node);
  if (type !== 'block' && type !== 'statement_block' && type !== 'compound_statement') return true;
  return /function|method|constructor|lambda|closure|func_literal|static_block|initializer/.test(tree.type(tree.parent(node)));
}
