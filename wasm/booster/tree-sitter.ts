import type { Language, Parser, Query, Tree } from 'web-tree-sitter';

/**
 * The part of the core's own functions that the snapshot calls. A cursor stays in the transfer buffer between two calls,
 * so a whole walk copies nothing to and fro.
 */
export interface Binding {
  readonly HEAPU8: Uint8Array;
  _ts_tree_root_node_wasm(tree: number): void;
  _ts_node_descendant_count_wasm(tree: number): number;
  _ts_tree_cursor_new_wasm(tree: number): void;
  _ts_tree_cursor_delete_wasm(tree: number): void;
  _ts_tree_cursor_goto_first_child_wasm(tree: number): number;
  _ts_tree_cursor_goto_next_sibling_wasm(tree: number): number;
  _ts_tree_cursor_goto_parent_wasm(tree: number): number;
  _ts_tree_cursor_current_node_type_id_wasm(tree: number): number;
  _ts_tree_cursor_current_field_id_wasm(tree: number): number;
  _ts_tree_cursor_current_node_is_missing_wasm(tree: number): number;
  _ts_tree_cursor_start_index_wasm(tree: number): number;
  _ts_tree_cursor_end_index_wasm(tree: number): number;
}

/** One isolated copy of web-tree-sitter, made by the factory of `generated/tree-sitter.js`. */
export interface TreeSitter {
  readonly Parser: typeof Parser;
  readonly Language: typeof Language;
  readonly Query: typeof Query;
  readonly Tree: typeof Tree;
  readonly binding: () => Binding;
}
