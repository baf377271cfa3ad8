import type { Snapshot } from '../../snapshot.ts';
import { isHeader } from './ecma.ts';
import {
  addToList,
  compareText,
  type Dialect,
  hasComment,
  type ImportedName,
  isComment,
  type RawEntry,
  removeFromList,
} from './model.ts';
import { PYTHON_LIBRARY } from './python-library.ts';

/** Imports of Python. `from __future__` comes first; a star may bind anything, so nothing moves past it. */
export const PYTHON_IMPORTS: Dialect = {
  entries: (tree) =>
    tree
      .namedChildren(0)
      .filter((node) => /^(import_statement|import_from_statement|future_import_statement)$/.test(tree.type(node)))
      .map((node) => readEntry(tree, node)),

  statement({ module, names = [], namespace, default: main, typeOnly }) {
    if (main !== undefined || typeOnly === true || (namespace !== undefined && names.length > 0)) return null;
    if (names.length > 0) return `from ${module} import ${names.join(', ')}`;
    return namespace === undefined ? `import ${module}` : `import ${module} as ${namespace}`;
  },

  asFile: (code) => `${code}\n`,

  mergeable: (into, from) =>
    into.form === from.form &&
    into.form !== 'import' &&
    into.module === from.module &&
    !into.opaque &&
    !from.opaque &&
    !into.barrier &&
    !from.barrier,

  addNames(tree, entry, names) {
    return addToList(
      tree,
      entry.names,
      names.map((name) => name.text),
      compareMembers,
    );
  },

  removeNames: (tree, entry, names) => (entry.opaque ? null : removeFromList(tree, entry.names, names)),

  compare(a, b) {
    const order = (entry: RawEntry): number => ['future', 'import', 'from'].indexOf(entry.form);
    // `from . import x` before `from .a import x`, and the farther before the nearer, as isort has it.
    const dots = (entry: RawEntry): number => /^\.*/.exec(entry.module)?.[0].length ?? 0;
    return (
      order(a) - order(b) || Number(dots(a) > 0) - Number(dots(b) > 0) || dots(b) - dots(a) || compareText(a.module, b.module)
    );
  },
  compareNames: (a, b) => compareMembers(a.text, b.text),

  section(entry) {
    if (entry.form === 'future') return 0;
    if (entry.module.startsWith('.')) return 3;
    return PYTHON_LIBRARY.has(entry.module.split('.', 1)[0] ?? '') ? 1 : 2;
  },
  newBlocks: true,

  firstPlace(tree) {
    let place = 0;
    let docstring = false;
    for (const node of tree.namedChildren(0)) {
      const isString = tree.type(node) === 'expression_statement' && tree.type(tree.firstChild(node)) === 'string';
      const first = isComment(tree, node) && (isHeader(tree, node) || /^#(!|.*coding[:=])/.test(tree.text(node)));
      if (!first && (!isString || docstring)) break;
      docstring ||= isString;
      place = tree.end(node);
    }
    return place;
  },
};

/** Constants, then classes, then the rest, as isort has it. */
function compareMembers(a: string, b: string): number {
  const kind = (text: string): number => (/^[A-Z0-9_]{2,}\b/.test(text) ? 0 : /^[A-Z]/.test(text) ? 1 : 2);
  return kind(a) - kind(b) || compareText(a, b);
}

function readEntry(tree: Snapshot, node: number): RawEntry {
  const type = tree.type(node);
  const form = type === 'future_import_statement' ? 'future' : type === 'import_from_statement' ? 'from' : 'import';
  const names: ImportedName[] = [];
  let star = false;
  for (const child of tree.namedChildren(node)) {
    if (tree.type(child) === 'wildcard_import') {
      star = true;
      names.push({ imported: '*', local: '', typeOnly: false, text: '*', node: child });
    }
    if (tree.field(child) !== 'name') continue;
    const aliased = tree.type(child) === 'aliased_import';
    const imported = tree.text(aliased ? tree.childByField(child, 'name') : child);
    const local = aliased
      ? tree.text(tree.childByField(child, 'alias'))
      : form === 'import'
        ? (imported.split('.', 1)[0] ?? '')
        : imported;
    names.push({ imported, local, typeOnly: false, text: tree.text(child), node: child });
  }
  const from = tree.childByField(node, 'module_name');
  const module = form === 'future' ? '__future__' : form === 'from' ? tree.text(from) : (names[0]?.imported ?? '');
  // A line continued by a backslash has a layout of its own.
  const opaque = hasComment(tree, node) || /\\\r?\n/.test(tree.text(node));
  return { node, form, module, names, barrier: star, opaque };
}
