import type { Snapshot } from '../../snapshot.ts';
import { type Dialect, hasComment, type RawEntry } from './model.ts';

/** Imports of Go: one entry for each line of a block. `import "C"` belongs to the comment above it and stays. */
export const GO_IMPORTS: Dialect = {
  entries(tree) {
    const found: RawEntry[] = [];
    for (const declaration of tree.namedChildren(0)) {
      if (tree.type(declaration) !== 'import_declaration') continue;
      for (const child of tree.namedChildren(declaration)) {
        if (tree.type(child) === 'import_spec') found.push(readEntry(tree, declaration, child));
        else
          for (const spec of tree.namedChildren(child))
            if (tree.type(spec) === 'import_spec') found.push(readEntry(tree, spec, spec));
      }
    }
    return found;
  },

  statement({ module, names = [], namespace, default: main, typeOnly }) {
    if (names.length > 0 || main !== undefined || typeOnly === true) return null;
    return `import ${namespace === undefined ? '' : `${namespace} `}"${module}"`;
  },

  asFile: (code) => `package p\n\n${code}\n`,
  mergeable: () => false,
  addNames: () => null,
  removeNames: () => null,
  compare: (a, b) => (a.module < b.module ? -1 : a.module > b.module ? 1 : 0),
  compareNames: null,
  // Paths of the library have no dot in their first part.
  section: (entry) => (/^[^/]*\./.test(entry.module) ? 1 : 0),
  newBlocks: true,
  beside: (tree, neighbour, text) => (tree.type(neighbour.node) === 'import_spec' ? text.replace(/^import\s+/, '') : text),

  widen(tree, only, added, text) {
    if (only.opaque || only.barrier || tree.type(only.node) !== 'import_declaration') return null;
    const lineBreak = tree.source.includes('\r\n') ? '\r\n' : '\n';
    const specs = [only.names[0]?.text ?? '', text.replace(/^import\s+/, '')];
    const first = GO_IMPORTS.section(added) - GO_IMPORTS.section(only) || GO_IMPORTS.compare(added, only);
    if (first < 0) specs.reverse();
    const gap = GO_IMPORTS.section(added) === GO_IMPORTS.section(only) ? lineBreak : lineBreak + lineBreak;
    const body = specs.map((spec) => `\t${spec}`).join(gap);
    return { start: tree.start(only.node), end: tree.end(only.node), text: `import (${lineBreak}${body}${lineBreak})` };
  },

  firstPlace: (tree) => tree.end(tree.namedChildren(0).find((node) => tree.type(node) === 'package_clause') ?? 0),
};

function readEntry(tree: Snapshot, node: number, spec: number): RawEntry {
  const name = tree.childByField(spec, 'name');
  const module = tree.text(tree.childByField(spec, 'path')).slice(1, -1);
  const alias = name < 0 ? '' : tree.text(name);
  const local =
    alias === '_' || alias === '.'
      ? ''
      : alias === ''
        ? (module.split('/').findLast((part) => !/^v\d+$/.test(part)) ?? '')
        : alias;
  return {
    node,
    form: 'import',
    module,
    names: [{ imported: alias, local: local.replace(/\.v\d+$/, ''), typeOnly: false, text: tree.text(spec), node: spec }],
    barrier: module === 'C',
    opaque: hasComment(tree, node),
  };
}
