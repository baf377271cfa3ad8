import type { Language, Tree } from 'web-tree-sitter';
import type { LanguageId } from './languages.ts';
import { SNAPSHOT_MAX_NODES } from './limits.ts';
import type { Binding } from './tree-sitter.ts';

/** Names of a grammar's node types and fields, by number; looked up once, because each look-up crosses into the core. */
export interface Grammar {
  readonly id: LanguageId;
  readonly language: Language;
  readonly typeNames: readonly string[];
  readonly typeIsNamed: Uint8Array;
  readonly fieldNames: readonly string[];
}

/** The number tree-sitter gives to ERROR nodes. */
export const ERROR_TYPE = 65_535;

export const NAMED = 1;
export const MISSING = 2;
export const ERROR = 4;
/** The node or one below it is an error or missing. */
export const HAS_ERROR = 8;

export function readGrammar(id: LanguageId, language: Language): Grammar {
  const typeNames: string[] = [];
  const typeIsNamed = new Uint8Array(language.nodeTypeCount);
  for (let type = 0; type < language.nodeTypeCount; type += 1) {
    typeNames.push(language.nodeTypeForId(type) ?? '');
    typeIsNamed[type] = language.nodeTypeIsNamed(type) ? 1 : 0;
  }
  return { id, language, typeNames, typeIsNamed, fieldNames: language.fields.map((name) => name ?? '') };
}

interface SnapshotParts {
  readonly grammar: Grammar;
  readonly source: string;
  readonly count: number;
  /** Index into `grammar.typeNames`; `ERROR_TYPE` for errors. */
  readonly types: Uint16Array;
  /** NAMED, MISSING, ERROR, HAS_ERROR. */
  readonly flags: Uint8Array;
  /** Index into `grammar.fieldNames`, 0 for none. */
  readonly fields: Uint16Array;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  /** -1 for the root. */
  readonly parents: Int32Array;
  /** The index after the node's last descendant. */
  readonly afters: Int32Array;
  /** ERROR and MISSING nodes. */
  readonly errorCount: number;
}

/**
 * A syntax tree copied out of the core, in document order: node 0 is the root, and the nodes below node `n` are
 * `n + 1 … afters[n] - 1`. Offsets are UTF-16 units of `source`. It outlives the tree it was made from.
 */
export class Snapshot {
  readonly grammar: Grammar;
  readonly source: string;
  readonly count: number;
  readonly types: Uint16Array;
  readonly flags: Uint8Array;
  readonly fields: Uint16Array;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  readonly parents: Int32Array;
  readonly afters: Int32Array;
  readonly errorCount: number;

  constructor(parts: SnapshotParts) {
    this.grammar = parts.grammar;
    this.source = parts.source;
    this.count = parts.count;
    this.types = parts.types;
    this.flags = parts.flags;
    this.fields = parts.fields;
    this.starts = parts.starts;
    this.ends = parts.ends;
    this.parents = parts.parents;
    this.afters = parts.afters;
    this.errorCount = parts.errorCount;
  }

  type(node: number): string {
    const type = this.types[node] ?? ERROR_TYPE;
    return type === ERROR_TYPE ? 'ERROR' : (this.grammar.typeNames[type] ?? '');
  }

  /** Empty if the node fills no field of its parent. */
  field(node: number): string {
    return this.grammar.fieldNames[this.fields[node] ?? 0] ?? '';
  }

  text(node: number): string {
    return this.source.slice(this.start(node), this.end(node));
  }

  start(node: number): number {
    return this.starts[node] ?? 0;
  }

  end(node: number): number {
    return this.ends[node] ?? 0;
  }

  parent(node: number): number {
    return this.parents[node] ?? -1;
  }

  after(node: number): number {
    return this.afters[node] ?? this.count;
  }

  isNamed(node: number): boolean {
    return ((this.flags[node] ?? 0) & NAMED) !== 0;
  }

  isMissing(node: number): boolean {
    return ((this.flags[node] ?? 0) & MISSING) !== 0;
  }

  isError(node: number): boolean {
    return ((this.flags[node] ?? 0) & ERROR) !== 0;
  }

  hasError(node: number): boolean {
    return ((this.flags[node] ?? 0) & HAS_ERROR) !== 0;
  }

  /** -1 if it has none. */
  firstChild(node: number): number {
    return this.after(node) > node + 1 ? node + 1 : -1;
  }

  /** -1 if it has none. */
  nextSibling(node: number): number {
    const next = this.after(node);
    const parent = this.parent(node);
    return parent >= 0 && next < this.after(parent) ? next : -1;
  }

  children(node: number): number[] {
    const found: number[] = [];
    const after = this.after(node);
    for (let child = node + 1; child < after; child = this.after(child)) found.push(child);
    return found;
  }

  namedChildren(node: number): number[] {
    return this.children(node).filter((child) => this.isNamed(child));
  }

  /** The first child that fills `field`, or -1. */
  childByField(node: number, field: string): number {
    const after = this.after(node);
    for (let child = node + 1; child < after; child = this.after(child)) if (this.field(child) === field) return child;
    return -1;
  }

  /** The smallest node that covers the range; of nodes with one range the innermost. */
  nodeAt(start: number, end: number = start): number {
    let node = 0;
    for (;;) {
      let inner = -1;
      const after = this.after(node);
      for (let child = node + 1; child < after; child = this.after(child)) {
        if (this.start(child) > start) break;
        if (this.end(child) >= end && this.end(child) > this.start(child)) inner = child;
      }
      if (inner < 0) return node;
      node = inner;
    }
  }

  /** ERROR and MISSING nodes in document order; inside an ERROR node only missing ones are looked for further. */
  errors(): number[] {
    const found: number[] = [];
    for (let node = 0; node < this.count;) {
      if (this.isError(node) || this.isMissing(node)) found.push(node);
      node = this.hasError(node) ? node + 1 : this.after(node);
    }
    return found;
  }
}

/** The tree has more nodes than a snapshot may hold. */
export class SnapshotTooLarge extends Error {}

/** Copies the tree out by one walk. The only loop in the booster that crosses into the core for each node. */
export function takeSnapshot(binding: Binding, tree: Tree, source: string, grammar: Grammar): Snapshot {
  const address = (tree as unknown as Record<number, number>)[0] ?? 0;
  binding._ts_tree_root_node_wasm(address);
  const capacity = binding._ts_node_descendant_count_wasm(address);
  if (capacity > SNAPSHOT_MAX_NODES) throw new SnapshotTooLarge();
  const types = new Uint16Array(capacity);
  const flags = new Uint8Array(capacity);
  const fields = new Uint16Array(capacity);
  const starts = new Int32Array(capacity);
  const ends = new Int32Array(capacity);
  const parents = new Int32Array(capacity);
  const afters = new Int32Array(capacity);
  let count = 0;
  let errorCount = 0;
  let parent = -1;
  binding._ts_tree_root_node_wasm(address);
  binding._ts_tree_cursor_new_wasm(address);
  try {
    walk: for (;;) {
      const node = count++;
      const type = binding._ts_tree_cursor_current_node_type_id_wasm(address);
      const start = binding._ts_tree_cursor_start_index_wasm(address);
      const end = binding._ts_tree_cursor_end_index_wasm(address);
      let flag = 0;
      if (type === ERROR_TYPE) flag = NAMED | ERROR | HAS_ERROR;
      else {
        if (grammar.typeIsNamed[type] === 1) flag = NAMED;
        // Only an empty node can be missing, and most are not empty.
        if (start === end && binding._ts_tree_cursor_current_node_is_missing_wasm(address) !== 0) flag |= MISSING | HAS_ERROR;
      }
      if ((flag & (ERROR | MISSING)) !== 0) errorCount += 1;
      types[node] = type;
      flags[node] = flag;
      fields[node] = binding._ts_tree_cursor_current_field_id_wasm(address);
      starts[node] = start;
      ends[node] = end;
      parents[node] = parent;
      if (binding._ts_tree_cursor_goto_first_child_wasm(address) !== 0) {
        parent = node;
        continue;
      }
      afters[node] = count;
      while (binding._ts_tree_cursor_goto_next_sibling_wasm(address) === 0) {
        if (binding._ts_tree_cursor_goto_parent_wasm(address) === 0) break walk;
        afters[parent] = count;
        parent = parents[parent] ?? -1;
      }
    }
  } finally {
    binding._ts_tree_cursor_delete_wasm(address);
  }
  for (let node = count - 1; node > 0; node -= 1) {
    const above = parents[node] ?? 0;
    flags[above] = (flags[above] ?? 0) | ((flags[node] ?? 0) & HAS_ERROR);
  }
  return new Snapshot({ grammar, source, count, types, flags, fields, starts, ends, parents, afters, errorCount });
}
