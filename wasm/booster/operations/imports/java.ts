import type { Snapshot } from '../../snapshot.ts';
import { isHeader } from './ecma.ts';
import { type Dialect, hasComment, type RawEntry } from './model.ts';

/** Imports of Java, where each statement imports one thing. */
export const JAVA_IMPORTS: Dialect = {
  entries: (tree) =>
    tree
      .namedChildren(0)
      .filter((node) => tree.type(node) === 'import_declaration')
      .map((node) => readEntry(tree, node)),

  statement({ module, names = [], namespace, default: main, typeOnly, static: isStatic }) {
    if (namespace !== undefined || main !== undefined || typeOnly === true || names.some((name) => !/^[\w$*]+$/.test(name)))
      return null;
    const head = `import ${isStatic === true ? 'static ' : ''}${module}`;
    return names.length === 0 ? `${head};` : names.map((name) => `${head}.${name};`).join('\n');
  },

  asFile: (code) => (code.trimEnd().endsWith(';') ? code : `${code};`),
  mergeable: () => false,
  addNames: () => null,
  removeNames: () => null,
  compare: (a, b) => (pathOf(a) < pathOf(b) ? -1 : pathOf(a) > pathOf(b) ? 1 : 0),
  compareNames: null,
  section: (entry) => (entry.form === 'static' ? 1 : 0),
  newBlocks: true,

  firstPlace(tree) {
    let place = 0;
    for (const node of tree.namedChildren(0)) {
      if (tree.type(node) !== 'package_declaration' && !isHeader(tree, node)) break;
      place = tree.end(node);
    }
    return place;
  },
};

const pathOf = (entry: RawEntry): string => `${entry.module}.${entry.names[0]?.imported ?? ''}`;

function readEntry(tree: Snapshot, node: number): RawEntry {
  const path = tree
    .children(node)
    .filter((child) => /^(scoped_identifier|identifier|asterisk|\.)$/.test(tree.type(child)))
    .map((child) => tree.text(child).replaceAll(/\s/g, ''))
    .join('');
  const parts = path.split('.');
  const imported = parts.pop() ?? '';
  const form = tree.children(node).some((child) => tree.type(child) === 'static') ? 'static' : 'import';
  return {
    node,
    form,
    module: parts.join('.'),
    names: [{ imported, local: imported === '*' ? '' : imported, typeOnly: false, text: imported, node: -1 }],
    barrier: false,
    opaque: hasComment(tree, node),
  };
}
