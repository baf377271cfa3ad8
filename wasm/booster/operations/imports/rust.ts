import type { Snapshot } from '../../snapshot.ts';
import { isHeader } from './ecma.ts';
import { addToList, compareText, type Dialect, hasComment, type ImportedName, type RawEntry, removeFromList } from './model.ts';

/** Imports of Rust. Only lists of one level are changed; `use a::{b::{c}}` is read, sorted and left as it is. */
export const RUST_IMPORTS: Dialect = {
  entries: (tree) =>
    tree
      .namedChildren(0)
      .filter((node) => tree.type(node) === 'use_declaration')
      .map((node) => readEntry(tree, node)),

  statement({ module, names = [], namespace, default: main, typeOnly }) {
    if (main !== undefined || typeOnly === true || (namespace !== undefined && names.length > 0)) return null;
    if (names.length > 1) return `use ${module}::{${names.join(', ')}};`;
    if (names.length === 1) return `use ${module}::${names[0] ?? ''};`;
    return namespace === undefined ? `use ${module};` : `use ${module} as ${namespace};`;
  },

  asFile: (code) => (code.trimEnd().endsWith(';') ? code : `${code};`),
  restyle: (_, text) => (/;\s*$/.test(text) ? text : `${text};`),

  // Only into a list: to make one of a plain path is a matter of taste.
  mergeable: (into, from) =>
    into.form === from.form &&
    into.module === from.module &&
    !into.opaque &&
    !from.opaque &&
    isList(into) &&
    from.names.every((name) => name.imported !== '*'),

  addNames: (tree, entry, names) =>
    isList(entry)
      ? addToList(
          tree,
          entry.names,
          names.map((name) => name.text),
          compareMembers,
        )
      : null,
  removeNames: (tree, entry, names) => (entry.opaque || !isList(entry) ? null : removeFromList(tree, entry.names, names)),
  compare: (a, b) => comparePaths(pathOf(a), pathOf(b)),
  compareNames: (a, b) => compareMembers(a.text, b.text),

  section(entry) {
    const first = entry.module.split('::', 1)[0] ?? '';
    return /^(std|core|alloc)$/.test(first) ? 0 : /^(crate|self|super)$/.test(first) ? 2 : 1;
  },
  newBlocks: true,

  firstPlace(tree) {
    let place = 0;
    for (const node of tree.namedChildren(0)) {
      const inner = tree.type(node) === 'inner_attribute_item' || /^\/\/!|^\/\*!/.test(tree.text(node));
      if (!inner && tree.type(node) !== 'shebang' && !isHeader(tree, node)) break;
      place = tree.end(node) - (tree.text(node).endsWith('\n') ? 1 : 0);
    }
    return place;
  },
};

const isList = (entry: RawEntry): boolean => entry.names.length > 0 && entry.names.every((name) => name.node >= 0);
const pathOf = (entry: RawEntry): string =>
  isList(entry) ? entry.module : [entry.module, entry.names[0]?.imported].filter((part) => part !== '').join('::');

const FIRST = ['self', 'super', 'crate'];
const place = (word: string): number => (FIRST.includes(word) ? FIRST.indexOf(word) : FIRST.length);

function comparePaths(a: string, b: string): number {
  const [x, y] = [a.split('::'), b.split('::')];
  for (let index = 0; index < Math.min(x.length, y.length); index++) {
    const [left, right] = [x[index] ?? '', y[index] ?? ''];
    const order = place(left) - place(right) || compareText(left, right);
    if (order !== 0) return order;
  }
  return x.length - y.length;
}

/** In a list `self` comes first, then modules and functions, then types. */
function compareMembers(a: string, b: string): number {
  const kind = (text: string): number => (text === 'self' ? 0 : /^[a-z_]/.test(text) ? 1 : 2);
  return kind(a) - kind(b) || compareText(a, b);
}

function readEntry(tree: Snapshot, node: number): RawEntry {
  const argument = tree.childByField(node, 'argument');
  const visibility = tree.namedChildren(node).find((child) => tree.type(child) === 'visibility_modifier');
  const siblings = tree.children(tree.parent(node));
  const above = siblings[siblings.indexOf(node) - 1];
  const attributed = above !== undefined && tree.type(above) === 'attribute_item';
  const read = readTree(tree, argument);
  return {
    node,
    form: visibility === undefined ? 'use' : tree.text(visibility),
    module: read?.module ?? tree.text(argument),
    names: read?.names ?? [],
    barrier: false,
    opaque: read === null || attributed || hasComment(tree, node),
  };
}

/** The path and what is taken from it; null for nested lists. */
function readTree(tree: Snapshot, node: number): { module: string; names: readonly ImportedName[] } | null {
  const type = tree.type(node);
  if (type === 'scoped_use_list') {
    const path = tree.childByField(node, 'path');
    const names: ImportedName[] = [];
    for (const member of tree.namedChildren(tree.childByField(node, 'list'))) {
      if (!/^(identifier|self|use_as_clause)$/.test(tree.type(member))) return null;
      const alias = tree.type(member) === 'use_as_clause' ? tree.childByField(member, 'alias') : -1;
      const name = alias < 0 ? tree.text(member) : tree.text(tree.childByField(member, 'path'));
      if (name.includes('::')) return null;
      const local = alias >= 0 ? tree.text(alias) : name === 'self' ? (tree.text(path).split('::').at(-1) ?? '') : name;
      names.push({ imported: name, local, typeOnly: false, text: tree.text(member), node: member });
    }
    return path < 0 ? null : { module: tree.text(path), names };
  }
  const single = (path: string, alias: string | null): { module: string; names: readonly ImportedName[] } => {
    const parts = path.split('::');
    const imported = parts.pop() ?? '';
    const local = alias ?? (imported === '*' ? '' : imported);
    return {
      module: parts.join('::'),
      names: [{ imported, local, typeOnly: false, text: alias === null ? imported : `${imported} as ${alias}`, node: -1 }],
    };
  };
  if (type === 'use_as_clause')
    return single(tree.text(tree.childByField(node, 'path')), tree.text(tree.childByField(node, 'alias')));
  if (/^(identifier|scoped_identifier|use_wildcard|crate|self|super)$/.test(type))
    return single(tree.text(node).replaceAll(/\s/g, ''), null);
  return null;
}
