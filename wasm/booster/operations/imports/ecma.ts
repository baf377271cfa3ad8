import type { Splice } from '../../engine.ts';
import type { Snapshot } from '../../snapshot.ts';
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

/** Imports of JavaScript and TypeScript. Those without names run code, so their order stays. */
export const ECMA_IMPORTS: Dialect = {
  entries: (tree) =>
    tree
      .namedChildren(0)
      .filter((node) => tree.type(node) === 'import_statement')
      .map((node) => readEntry(tree, node)),

  statement({ module, names = [], default: main, namespace, typeOnly }, { quote, semicolon }) {
    if (typeOnly === true && [main !== undefined, namespace !== undefined, names.length > 0].filter(Boolean).length > 1)
      return null;
    const clauses = [
      main,
      namespace === undefined ? undefined : `* as ${namespace}`,
      names.length === 0 ? undefined : `{ ${names.join(', ')} }`,
    ].filter((clause) => clause !== undefined);
    if (namespace !== undefined && names.length > 0) return null;
    const head = clauses.length === 0 ? '' : `${clauses.join(', ')} from `;
    return `import ${typeOnly === true ? 'type ' : ''}${head}${quote}${module}${quote}${semicolon}`;
  },

  asFile: (code) => code,

  restyle(_, text, { quote, semicolon }) {
    const body = text.replace(/;\s*$/, '');
    const quoted = body.replace(/(["'])([^"'\\]*)\1$/, (_whole, _old: string, module: string) => quote + module + quote);
    return quoted + semicolon;
  },

  mergeable(into, from) {
    if (into.opaque || from.opaque || into.form !== from.form || into.module !== from.module) return false;
    if (into.names.length === 0 || from.names.length === 0) return false;
    const has = (entry: RawEntry, imported: (name: string) => boolean): boolean =>
      entry.names.some((name) => imported(name.imported));
    const named = (name: string): boolean => name !== '*' && name !== 'default';
    const [both, star] = [[into, from], (name: string): boolean => name === '*'];
    // `import d, { a }` and `import d, * as n` are all that the language has; of types only one clause.
    if (both.some((entry) => has(entry, star))) {
      return (
        into.form === 'import' &&
        !both.some((entry) => has(entry, named)) &&
        from.names.every((name) => name.imported === 'default')
      );
    }
    if (has(from, (name) => name === 'default') && has(into, (name) => name === 'default')) return false;
    return into.form !== 'type' || both.every((entry) => !has(entry, (name) => name === 'default'));
  },

  addNames(tree, entry, names) {
    const clause = clauseOf(tree, entry.node);
    if (clause < 0) return null;
    const splices: Splice[] = [];
    const list = tree.namedChildren(clause).find((child) => tree.type(child) === 'named_imports');
    const main = names.find((name) => name.imported === 'default');
    const named = names.filter((name) => name.imported !== 'default' && name.imported !== '*');
    if (main !== undefined) splices.push({ start: tree.start(clause), end: tree.start(clause), text: `${main.local}, ` });
    if (named.length > 0) {
      const members = entry.names.filter((name) => name.node >= 0 && tree.type(name.node) === 'import_specifier');
      const texts = named.map((name) => name.text);
      if (list === undefined) splices.push({ start: tree.end(clause), end: tree.end(clause), text: `, { ${texts.join(', ')} }` });
      else if (members.length === 0)
        splices.push({ start: tree.start(list), end: tree.end(list), text: `{ ${texts.join(', ')} }` });
      else splices.push(...addToList(tree, members, texts, compareSpecifiers));
    }
    return splices;
  },

  removeNames(tree, entry, names) {
    const clause = clauseOf(tree, entry.node);
    if (clause < 0 || entry.opaque) return null;
    const list = tree.namedChildren(clause).find((child) => tree.type(child) === 'named_imports');
    const members = entry.names.filter((name) => name.node >= 0 && tree.type(name.node) === 'import_specifier');
    const goneMembers = members.filter((name) => names.includes(name));
    const splices: Splice[] = [];
    const main = entry.names.find((name) => name.imported === 'default' && tree.type(name.node) === 'identifier');
    const second = tree.namedChildren(clause).find((child) => /^(named_imports|namespace_import)$/.test(tree.type(child)));
    if (main !== undefined && names.includes(main)) {
      if (second === undefined) return null;
      splices.push({ start: tree.start(main.node), end: tree.start(second), text: '' });
    }
    const star = entry.names.find((name) => name.imported === '*');
    const wholeList = members.length > 0 && goneMembers.length === members.length;
    if (second !== undefined && main !== undefined && (wholeList || (star !== undefined && names.includes(star)))) {
      splices.push({ start: tree.end(main.node), end: tree.end(second), text: '' });
    } else if (list !== undefined) splices.push(...removeFromList(tree, members, goneMembers));
    return splices;
  },

  compare: (a, b) => rank(a.module) - rank(b.module) || compareText(a.module, b.module),
  compareNames: (a, b) => compareSpecifiers(a.text, b.text),
  section: (entry) => rank(entry.module),
  newBlocks: false,

  firstPlace(tree) {
    let place = 0;
    for (const node of tree.namedChildren(0)) {
      const directive = tree.type(node) === 'expression_statement' && tree.type(tree.firstChild(node)) === 'string';
      if (tree.type(node) !== 'hash_bang_line' && !directive && !isHeader(tree, node)) break;
      place = tree.end(node);
    }
    return place;
  },
};

/** A comment at the top that a blank line parts from the code. */
export function isHeader(tree: Snapshot, node: number): boolean {
  return (
    isComment(tree, node) &&
    /^[ \t]*\r?\n?[ \t]*\r?\n/.test(
      tree.source.slice(tree.end(node) - (tree.text(node).endsWith('\n') ? 1 : 0)).replace(/^[ \t]*\r?\n/, '\n'),
    )
  );
}

const bare = (text: string): string => text.replace(/^type\s+/, '');
const compareSpecifiers = (a: string, b: string): number => compareText(bare(a), bare(b));

function rank(module: string): number {
  if (module.startsWith('node:')) return 0;
  return module.startsWith('..') ? 2 : module.startsWith('.') ? 3 : 1;
}

const clauseOf = (tree: Snapshot, node: number): number =>
  tree.namedChildren(node).find((child) => tree.type(child) === 'import_clause') ?? -1;

function readEntry(tree: Snapshot, node: number): RawEntry {
  const children = tree.children(node);
  const source = tree.childByField(node, 'source');
  const clause = clauseOf(tree, node);
  const types = children.map((child) => tree.type(child));
  const require = types.includes('import_require_clause');
  const attributes = types.some((type) => type === 'import_attribute');
  const form = require ? 'require' : types.includes('type') ? 'type' : types.includes('typeof') ? 'typeof' : 'import';
  const names: ImportedName[] = [];
  for (const child of clause < 0 ? [] : tree.namedChildren(clause)) {
    const type = tree.type(child);
    if (type === 'identifier')
      names.push({ imported: 'default', local: tree.text(child), typeOnly: false, text: tree.text(child), node: child });
    else if (type === 'namespace_import') {
      const name = tree.namedChildren(child).at(-1) ?? child;
      names.push({ imported: '*', local: tree.text(name), typeOnly: false, text: tree.text(child), node: child });
    } else if (type === 'named_imports') {
      for (const specifier of tree.namedChildren(child))
        if (tree.type(specifier) === 'import_specifier') names.push(readSpecifier(tree, specifier));
    }
  }
  const module = source >= 0 ? tree.text(source).slice(1, -1) : tree.text(node);
  const sideEffect = clause < 0 && !require;
  return { node, form, module, names, barrier: sideEffect, opaque: require || attributes || hasComment(tree, node) };
}

function readSpecifier(tree: Snapshot, node: number): ImportedName {
  const name = tree.text(tree.childByField(node, 'name'));
  const alias = tree.childByField(node, 'alias');
  const typeOnly = tree.children(node).some((child) => tree.type(child) === 'type' || tree.type(child) === 'typeof');
  return { imported: name, local: alias < 0 ? name : tree.text(alias), typeOnly, text: tree.text(node), node };
}
