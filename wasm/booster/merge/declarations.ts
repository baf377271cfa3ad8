import type { LanguageId } from '../languages.ts';
import type { Snapshot } from '../snapshot.ts';

export interface Declaration {
  readonly node: number;
  /** The node that comes and goes with it: with `export`, decorators, the whole `const x = …`. */
  readonly outer: number;
  /** `class:Pool`, `method:take`, … */
  readonly key: string;
  readonly name: string;
  /** The keys of what it stands in, and its own. */
  readonly path: string;
  /** The innermost declaration it stands in, by index, or -1. */
  readonly parent: number;
  readonly start: number;
  readonly end: number;
}

/** Node types that declare a name others may refer to, and what they are called here. */
const KINDS: Readonly<Record<string, string>> = {
  function_declaration: 'function',
  generator_function_declaration: 'function',
  function_signature: 'function',
  function_definition: 'function',
  function_item: 'function',
  function_signature_item: 'function',
  class_declaration: 'class',
  abstract_class_declaration: 'class',
  class_definition: 'class',
  class_specifier: 'class',
  class: 'class',
  interface_declaration: 'interface',
  trait_declaration: 'trait',
  trait_item: 'trait',
  enum_declaration: 'enum',
  enum_item: 'enum',
  enum_specifier: 'enum',
  record_declaration: 'class',
  annotation_type_declaration: 'interface',
  struct_item: 'struct',
  struct_specifier: 'struct',
  struct_declaration: 'struct',
  union_item: 'struct',
  type_alias_declaration: 'type',
  type_item: 'type',
  type_spec: 'type',
  type_alias: 'type',
  impl_item: 'impl',
  mod_item: 'module',
  module: 'module',
  internal_module: 'module',
  namespace_definition: 'module',
  namespace_declaration: 'module',
  macro_definition: 'macro',
  const_item: 'constant',
  static_item: 'constant',
  method_definition: 'method',
  method_declaration: 'method',
  method_signature: 'method',
  abstract_method_signature: 'method',
  constructor_declaration: 'method',
  method: 'method',
  singleton_method: 'method',
  property_declaration: 'field',
  public_field_definition: 'field',
  field_definition: 'field',
  variable_declarator: 'variable',
  const_spec: 'variable',
  var_spec: 'variable',
  assignment: 'variable',
};

/** Wrappers that have no life without the declaration inside. */
const WRAPPERS: ReadonlySet<string> = new Set([
  'export_statement',
  'decorated_definition',
  'lexical_declaration',
  'variable_declaration',
  'ambient_declaration',
  'expression_statement',
  'type_declaration',
  'const_declaration',
  'var_declaration',
  'template_declaration',
  'type_definition',
]);

/** Where variables count: elsewhere they are locals. */
const SCOPES: ReadonlySet<string> = new Set([
  'program',
  'module',
  'source_file',
  'class_body',
  'statement_block/internal_module',
  'field_declaration_list',
]);

const squash = (text: string): string => text.replaceAll(/\s+/g, ' ').trim();

/** All declarations in document order. */
export function declarationsOf(snapshot: Snapshot, language: LanguageId): Declaration[] {
  const found: Declaration[] = [];
  const open: number[] = [];
  const kinds = kindsByType(snapshot);
  for (let node = 0; node < snapshot.count; node += 1) {
    const kind = kinds[snapshot.types[node] ?? 0];
    if (kind === undefined || !snapshot.isNamed(node)) continue;
    while (open.length > 0 && snapshot.after(found[open.at(-1) ?? 0]?.node ?? 0) <= node) open.pop();
    const named = nameOf(snapshot, node, kind, language);
    if (named === null) continue;
    const outer = outerOf(snapshot, node);
    if (isAnonymousMember(snapshot, outer)) continue;
    if (kind === 'variable' && !countsAsDeclaration(snapshot, outer)) continue;
    const parent = open.at(-1) ?? -1;
    const key = `${kind}:${named.name}${named.extra}`;
    found.push({
      node,
      outer,
      key,
      name: named.name,
      path: parent < 0 ? key : `${found[parent]?.path ?? ''}/${key}`,
      parent,
      start: snapshot.start(outer),
      end: snapshot.end(outer),
    });
    open.push(found.length - 1);
  }
  return found;
}

const kindCache = new WeakMap<object, (string | undefined)[]>();

function kindsByType(snapshot: Snapshot): (string | undefined)[] {
  let kinds = kindCache.get(snapshot.grammar);
  if (kinds === undefined) {
    kinds = snapshot.grammar.typeNames.map((name, type) => (snapshot.grammar.typeIsNamed[type] === 1 ? KINDS[name] : undefined));
    kindCache.set(snapshot.grammar, kinds);
  }
  return kinds;
}

function countsAsDeclaration(snapshot: Snapshot, outer: number): boolean {
  const parent = snapshot.parent(outer);
  if (parent < 0) return true;
  const type = snapshot.type(parent);
  if (SCOPES.has(type)) return true;
  return type === 'block' && snapshot.type(snapshot.parent(parent)) === 'class_definition';
}

/** A method of an object literal or an anonymous class: its container has no name to tell it apart by. */
function isAnonymousMember(snapshot: Snapshot, outer: number): boolean {
  const parent = snapshot.parent(outer);
  if (parent < 0) return false;
  const type = snapshot.type(parent);
  if (type === 'object' || type === 'object_type') return true;
  if (type !== 'class_body') return false;
  const container = snapshot.parent(parent);
  return snapshot.type(container) === 'object_creation_expression' || snapshot.childByField(container, 'name') < 0;
}

function outerOf(snapshot: Snapshot, node: number): number {
  let outer = node;
  for (;;) {
    const parent = snapshot.parent(outer);
    if (parent < 0 || !WRAPPERS.has(snapshot.type(parent))) return outer;
    // `const a = 1, b = 2` and Go's `type ( … )` hold several; each comes and goes alone there.
    if (snapshot.children(parent).filter((child) => snapshot.type(child) === snapshot.type(outer)).length > 1) return outer;
    outer = parent;
  }
}

interface Named {
  readonly name: string;
  readonly extra: string;
}

function nameOf(snapshot: Snapshot, node: number, kind: string, language: LanguageId): Named | null {
  const type = snapshot.type(node);
  if (kind === 'impl') {
    const trait = snapshot.childByField(node, 'trait');
    const target = snapshot.childByField(node, 'type');
    const name = `${trait < 0 ? '' : `${squash(snapshot.text(trait))} for `}${target < 0 ? '' : squash(snapshot.text(target))}`;
    return { name, extra: '' };
  }
  if (type === 'assignment') {
    const left = snapshot.childByField(node, 'left');
    return left >= 0 && snapshot.type(left) === 'identifier' ? { name: snapshot.text(left), extra: '' } : null;
  }
  let name = snapshot.childByField(node, 'name');
  if (name < 0) name = snapshot.childByField(node, 'property');
  if (name < 0 && type === 'function_definition') name = declaratorName(snapshot, node);
  if (name < 0) return null;
  // A destructuring pattern declares several names; it is told apart by its text.
  return { name: squash(snapshot.text(name)), extra: extraOf(snapshot, node, type, language) };
}

/** C hides the name of a function in nested declarators. */
function declaratorName(snapshot: Snapshot, node: number): number {
  let declarator = snapshot.childByField(node, 'declarator');
  while (declarator >= 0) {
    const inner = snapshot.childByField(declarator, 'declarator');
    if (inner < 0) return declarator;
    declarator = inner;
  }
  return -1;
}

/** What tells declarations of one name apart: receivers, parameter types of overloads, accessors. */
function extraOf(snapshot: Snapshot, node: number, type: string, language: LanguageId): string {
  if (language === 'go' && type === 'method_declaration') {
    const receiver = snapshot.childByField(node, 'receiver');
    if (receiver < 0) return '';
    return `@${squash(snapshot.text(receiver))
      .replace(/^\(\s*(?:\w+\s+)?\*?/, '')
      .replace(/[[)].*$/, '')}`;
  }
  if (type === 'method_definition') {
    const words = snapshot.children(node).map((child) => snapshot.type(child));
    return words
      .filter((word) => word === 'get' || word === 'set' || word === 'static')
      .map((word) => `!${word}`)
      .join('');
  }
  if ((language === 'java' || language === 'csharp') && (type === 'method_declaration' || type === 'constructor_declaration')) {
    const parameters = snapshot.childByField(node, 'parameters');
    if (parameters < 0) return '';
    const types = snapshot.namedChildren(parameters).map((child) => {
      const typed = snapshot.childByField(child, 'type');
      return typed < 0 ? squash(snapshot.text(child)) : squash(snapshot.text(typed));
    });
    return `(${types.join(',')})`;
  }
  if (language === 'python' && type === 'function_definition') {
    const parent = snapshot.parent(node);
    if (parent < 0 || snapshot.type(parent) !== 'decorated_definition') return '';
    const marks = snapshot
      .children(parent)
      .filter((child) => snapshot.type(child) === 'decorator')
      .map((child) => snapshot.text(child))
      .filter((text) => /\.(?:setter|getter|deleter|register)\b|\boverload\b/.test(text));
    return marks.map((text) => `!${squash(text)}`).join('');
  }
  return '';
}

/** Methods that `declarationsOf` leaves out, since what they are members of has no name: how often each name stands there. */
export function anonymousMethods(snapshot: Snapshot): Map<string, number> {
  const found = new Map<string, number>();
  const kinds = kindsByType(snapshot);
  for (let node = 0; node < snapshot.count; node += 1) {
    if (kinds[snapshot.types[node] ?? 0] !== 'method' || !isAnonymousMember(snapshot, node)) continue;
    const name = snapshot.childByField(node, 'name');
    if (name >= 0) found.set(snapshot.text(name), (found.get(snapshot.text(name)) ?? 0) + 1);
  }
  return found;
}

/** How often each path stands there. */
export function countByPath(declarations: readonly Declaration[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { path } of declarations) counts.set(path, (counts.get(path) ?? 0) + 1);
  return counts;
}
