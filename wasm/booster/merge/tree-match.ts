import type { LanguageId } from '../languages.ts';
import type { Snapshot } from '../snapshot.ts';
import { type Declaration, declarationsOf } from './declarations.ts';

/** Nodes that only group their children: a comment may stand beside the group or in it. */
const TRANSPARENT = /^statement_list$/;

/** Separators come and go with what they separate, and say nothing. */
const SEPARATOR = /^[,;\n]*$/;

/** One syntax tree, with what children are told apart by. */
export class Side {
  readonly snapshot: Snapshot;
  readonly #keys = new Map<number, string>();
  readonly #texts = new Map<number, string>();

  constructor(
    snapshot: Snapshot,
    language: LanguageId,
    declarations: readonly Declaration[] = declarationsOf(snapshot, language),
  ) {
    this.snapshot = snapshot;
    for (const { outer, key } of declarations) if (!this.#keys.has(outer)) this.#keys.set(outer, key);
  }

  /** Children without separators and white space, those of transparent groups among them. */
  kids(node: number): number[] {
    const { snapshot } = this;
    const children = snapshot.children(node);
    // Python's grammar puts the comments that a block begins with before it.
    const own = snapshot.type(node) === 'block' ? this.#commentsBefore(node) : [];
    const all = [...own, ...children];
    const heads = this.#commentsOfBlocks(all);
    return all.flatMap((child, at) => {
      if (TRANSPARENT.test(snapshot.type(child))) return this.kids(child);
      if (at >= own.length && heads.has(child)) return [];
      const text = snapshot.end(child) - snapshot.start(child) < 3 || isText(snapshot, child) ? snapshot.text(child).trim() : 'x';
      return SEPARATOR.test(text) ? [] : [child];
    });
  }

  #commentsBefore(block: number): number[] {
    const siblings = this.snapshot.children(this.snapshot.parent(block));
    const end = siblings.indexOf(block);
    let start = end;
    while (start > 0 && this.isComment(siblings[start - 1] ?? 0)) start -= 1;
    return siblings.slice(start, end);
  }

  /** Comments that stand before a block, and so begin it. */
  #commentsOfBlocks(siblings: readonly number[]): ReadonlySet<number> {
    const heads = new Set<number>();
    let isBlock = false;
    for (const sibling of siblings.toReversed()) {
      if (!this.isComment(sibling)) isBlock = this.snapshot.type(sibling) === 'block';
      else if (isBlock) heads.add(sibling);
    }
    return heads;
  }

  /** The node whose kid a node is. */
  container(node: number): number {
    const { snapshot } = this;
    let parent = snapshot.parent(node);
    while (parent >= 0 && TRANSPARENT.test(snapshot.type(parent))) parent = snapshot.parent(parent);
    if (parent < 0 || !this.isComment(node)) return parent;
    const siblings = snapshot.children(parent);
    const next = siblings.slice(siblings.indexOf(node) + 1).find((sibling) => !this.isComment(sibling));
    return next !== undefined && snapshot.type(next) === 'block' ? next : parent;
  }

  /** The key of a declaration that comes and goes with the node. */
  key(node: number): string | undefined {
    return this.#keys.get(node);
  }

  /** Type and text, white space aside. */
  text(node: number): string {
    let text = this.#texts.get(node);
    if (text === undefined) {
      text = `${this.snapshot.types[node] ?? 0} ${this.snapshot
        .text(node)
        .replaceAll(/\s+/g, ' ')
        .replace(/[;,\s]+$/, '')}`;
      this.#texts.set(node, text);
    }
    return text;
  }

  isComment(node: number): boolean {
    return this.snapshot.type(node).includes('comment');
  }

  /** Stands over a declaration and belongs to it. */
  isLead(node: number): boolean {
    return this.isComment(node) || /^(?:attribute_item|decorator)$/.test(this.snapshot.type(node));
  }
}

const isText = (snapshot: Snapshot, node: number): boolean => snapshot.type(node) === 'jsx_text';

/** Nodes that are what their only child is. */
const SINGLE =
  /^(?:expression_statement|export_statement|decorated_definition|lexical_declaration|variable_declaration|local_variable_declaration|await_expression|await|try_expression|short_var_declaration|var_declaration|const_declaration|type_declaration|let_declaration)$/;

/** Fields that say what a node is about, the most telling first. */
const TELLING = [
  'name',
  'left',
  'pattern',
  'key',
  'function',
  'condition',
  'declarator',
  'source',
  'path',
  'argument',
  'open_tag',
  'value',
  'label',
];

/** What a statement is about: the variable it sets, the function it calls, its condition. Null if nothing tells. */
export function headOf(snapshot: Snapshot, node: number, depth = 0): string | null {
  if (depth > 6) return null;
  const type = snapshot.type(node);
  if (type === 'return_statement' || type === 'return_expression' || type === 'super_call') return type;
  for (const field of TELLING) {
    const child = snapshot.childByField(node, field);
    if (child < 0) continue;
    if (field === 'declarator') return `${type}>${headOf(snapshot, child, depth + 1) ?? ''}`;
    let object = snapshot.childByField(node, 'object');
    if (field !== 'name' || object < 0) object = -1;
    const said = [...(object < 0 ? [] : [object]), child].map((each) => snapshot.text(each).replaceAll(/\s+/g, ' '));
    return `${type}:${said.join('.')}${firstString(snapshot, node)}`;
  }
  if (!SINGLE.test(type)) return null;
  const named = snapshot.namedChildren(node).filter((child) => !snapshot.type(child).includes('comment'));
  const inner = named.at(-1);
  if (inner === undefined || (named.length > 1 && type !== 'export_statement' && type !== 'decorated_definition')) return null;
  const head = headOf(snapshot, inner, depth + 1);
  return head === null ? null : `${type}>${head}`;
}

/** `test('name', …)`, `app.get('/path', …)`: calls of one function are told apart by what they name. */
function firstString(snapshot: Snapshot, node: number): string {
  const list = snapshot.childByField(node, 'arguments');
  const first = list < 0 ? undefined : snapshot.namedChildren(list)[0];
  return first !== undefined && snapshot.type(first).includes('string') ? `(${snapshot.text(first)}` : '';
}

/**
 * Which of the original's children each of the edit's is: `-1` for none. Each way of telling must be unique on both sides.
 * Null if what must be found is not, or if the order differs.
 */
export function matchKids(
  edit: Side,
  original: Side,
  ours: readonly number[],
  theirs: readonly number[],
  /** Those that must be found, since something is left out in them. */
  isOpen: (node: number) => boolean,
): Int32Array | null {
  const match = new Int32Array(ours.length).fill(-1);
  const taken = new Uint8Array(theirs.length);
  const pair = (tell: (side: Side, node: number) => string | null | undefined): void => {
    const there = new Map<string, number>();
    for (const [at, node] of theirs.entries()) {
      if (taken[at] === 1) continue;
      const said = tell(original, node);
      if (said !== null && said !== undefined) there.set(said, there.has(said) ? -1 : at);
    }
    const here = new Map<string, number>();
    for (const [at, node] of ours.entries()) {
      if (node < 0 || match[at] !== -1) continue;
      const said = tell(edit, node);
      if (said !== null && said !== undefined) here.set(said, here.has(said) ? -1 : at);
    }
    for (const [said, at] of here) {
      const found = there.get(said) ?? -1;
      if (at < 0 || found < 0) continue;
      match[at] = found;
      taken[found] = 1;
    }
  };
  pair((side, node) => (side === edit && isOpen(node) ? null : side.text(node)));
  pair((side, node) => side.key(node));
  pair((side, node) => (side.key(node) === undefined && !side.isComment(node) ? headOf(side.snapshot, node) : null));
  pair((side, node) => (side.snapshot.field(node) === '' ? null : `${side.snapshot.field(node)} ${side.snapshot.types[node]}`));
  if (!rises(match)) return null;
  // Of several that read the same the one beside a neighbour that was found.
  for (const step of [1, -1]) {
    for (let at = step > 0 ? 1 : ours.length - 2; at >= 0 && at < ours.length; at += step) {
      const [node, beside] = [ours[at] ?? -1, match[at - step] ?? -1];
      if (node < 0 || match[at] !== -1 || beside < 0 || isOpen(node)) continue;
      const other = theirs[beside + step];
      if (other === undefined || taken[beside + step] === 1 || original.text(other) !== edit.text(node)) continue;
      match[at] = beside + step;
      taken[beside + step] = 1;
    }
  }
  for (const [at, node] of ours.entries()) {
    if (node < 0 || match[at] !== -1 || !isOpen(node)) continue;
    const [low, high] = boundsOf(match, at, theirs.length);
    const fitting: number[] = [];
    for (let other = low; other < high; other += 1) {
      if (edit.snapshot.types[node] === original.snapshot.types[theirs[other] ?? 0]) fitting.push(other);
    }
    const [only] = fitting;
    if (only === undefined || fitting.length > 1 || edit.key(node) !== undefined) return null;
    match[at] = only;
    taken[only] = 1;
  }
  return rises(match) ? match : null;
}

/** Where among the original's children the one at `at` can be, given those round it. */
function boundsOf(match: Int32Array, at: number, count: number): [low: number, high: number] {
  let low = 0;
  let high = count;
  for (let before = at - 1; before >= 0; before -= 1) {
    if ((match[before] ?? -1) < 0) continue;
    low = (match[before] ?? 0) + 1;
    break;
  }
  for (let after = at + 1; after < match.length; after += 1) {
    if ((match[after] ?? -1) < 0) continue;
    high = match[after] ?? 0;
    break;
  }
  return [low, high];
}

function rises(match: Int32Array): boolean {
  let last = -1;
  for (const each of match) {
    if (each < 0) continue;
    if (each <= last) return false;
    last = each;
  }
  return true;
}
