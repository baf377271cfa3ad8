import type { LanguageId } from '../languages.ts';
import type { Snapshot } from '../snapshot.ts';

/** How a node type becomes a symbol. */
export interface OutlineRule {
  readonly kind: string;
  /** The names it declares, with the nodes they stand for if not the node itself; default: its `name` field. */
  readonly names?: (tree: Snapshot, node: number) => readonly DeclaredName[];
  /** Looked at only outside function bodies: locals are no part of an outline. */
  readonly topOnly?: true;
}

export interface DeclaredName {
  readonly name: string;
  readonly kind?: string;
}

type Table = Readonly<Record<string, OutlineRule>>;

const squash = (text: string): string => text.replaceAll(/\s+/g, ' ').trim();
const FUNCTION_VALUES = new Set(['arrow_function', 'function_expression', 'generator_function', 'function']);

const field =
  (...names: readonly string[]) =>
  (tree: Snapshot, node: number): readonly DeclaredName[] =>
    tree
      .children(node)
      .filter((child) => names.includes(tree.field(child)) && tree.isNamed(child))
      .map((child) => ({ name: squash(tree.text(child)) }));

/** The names below the nodes that fill the field, of the given types; C hides names in declarators. */
const below =
  (types: readonly string[], fieldName: string, kindOf?: (tree: Snapshot, child: number) => string | undefined) =>
  (tree: Snapshot, node: number): readonly DeclaredName[] => {
    const found: DeclaredName[] = [];
    for (const child of tree.children(node)) {
      if (tree.field(child) !== fieldName) continue;
      for (let inner = child; inner < tree.after(child); inner++) {
        if (!types.includes(tree.type(inner))) continue;
        const kind = kindOf?.(tree, child);
        found.push({ name: squash(tree.text(inner)), ...(kind !== undefined && { kind }) });
        break;
      }
    }
    return found;
  };

const childText =
  (...types: readonly string[]) =>
  (tree: Snapshot, node: number): readonly DeclaredName[] =>
    tree
      .children(node)
      .filter((child) => types.includes(tree.type(child)))
      .slice(0, 1)
      .map((child) => ({ name: squash(tree.text(child)) }));

/** Names of the `variable_declarator`s below, however deep the language puts them. */
const declarators = (tree: Snapshot, node: number): readonly DeclaredName[] => {
  const found: DeclaredName[] = [];
  for (let inner = node + 1; inner < tree.after(node); inner++) {
    if (tree.type(inner) !== 'variable_declarator') continue;
    const name = tree.childByField(inner, 'name');
    if (name >= 0) found.push({ name: tree.text(name) });
    inner = tree.after(inner) - 1;
  }
  return found;
};

function ecmaVariable(tree: Snapshot, node: number): readonly DeclaredName[] {
  const name = tree.childByField(node, 'name');
  if (name < 0 || tree.type(name) !== 'identifier') return [];
  const value = tree.childByField(node, 'value');
  const isFunction = value >= 0 && FUNCTION_VALUES.has(tree.type(value));
  const constant = tree.text(tree.parent(node)).startsWith('const');
  return [{ name: tree.text(name), kind: isFunction ? 'function' : constant ? 'constant' : 'variable' }];
}

const ECMA: Table = {
  function_declaration: { kind: 'function' },
  generator_function_declaration: { kind: 'function' },
  function_signature: { kind: 'function' },
  class_declaration: { kind: 'class' },
  abstract_class_declaration: { kind: 'class' },
  method_definition: { kind: 'method' },
  method_signature: { kind: 'method' },
  abstract_method_signature: { kind: 'method' },
  field_definition: { kind: 'field', names: field('property') },
  public_field_definition: { kind: 'field' },
  property_signature: { kind: 'field' },
  interface_declaration: { kind: 'interface' },
  type_alias_declaration: { kind: 'type' },
  enum_declaration: { kind: 'enum' },
  internal_module: { kind: 'namespace' },
  module: { kind: 'namespace' },
  variable_declarator: { kind: 'variable', names: ecmaVariable, topOnly: true },
};

const C_NAMES = [
  'identifier',
  'field_identifier',
  'qualified_identifier',
  'destructor_name',
  'operator_name',
  'operator_cast',
  'type_identifier',
];
const C: Table = {
  function_definition: { kind: 'function', names: below(C_NAMES, 'declarator') },
  struct_specifier: { kind: 'struct', names: bodied },
  union_specifier: { kind: 'union', names: bodied },
  enum_specifier: { kind: 'enum', names: bodied },
  class_specifier: { kind: 'class', names: bodied },
  enumerator: { kind: 'constant' },
  type_definition: { kind: 'type', names: below(C_NAMES, 'declarator') },
  alias_declaration: { kind: 'type' },
  namespace_definition: { kind: 'namespace' },
  concept_definition: { kind: 'concept' },
  preproc_def: { kind: 'macro' },
  preproc_function_def: { kind: 'macro' },
  field_declaration: { kind: 'field', names: below(C_NAMES, 'declarator', cDeclaration) },
  declaration: { kind: 'variable', names: below(C_NAMES, 'declarator', cDeclaration), topOnly: true },
};

/** A struct or class only where it is defined; `struct S *p` names one, too. */
function bodied(tree: Snapshot, node: number): readonly DeclaredName[] {
  return tree.childByField(node, 'body') < 0 ? [] : field('name')(tree, node);
}

function cDeclaration(tree: Snapshot, declarator: number): string | undefined {
  for (let node = declarator; node >= 0; node = tree.childByField(node, 'declarator')) {
    if (tree.type(node) === 'function_declarator') return 'function';
  }
  return undefined;
}

const TABLES: Readonly<Record<LanguageId, Table>> = {
  javascript: ECMA,
  typescript: ECMA,
  tsx: ECMA,
  python: {
    function_definition: { kind: 'function' },
    class_definition: { kind: 'class' },
    assignment: { kind: 'variable', names: pythonAssignment, topOnly: true },
    type_alias_statement: { kind: 'type', names: field('left') },
  },
  go: {
    function_declaration: { kind: 'function' },
    method_declaration: { kind: 'method', names: goMethod },
    type_spec: { kind: 'type', names: goType },
    type_alias: { kind: 'type' },
    const_spec: { kind: 'constant', names: field('name'), topOnly: true },
    var_spec: { kind: 'variable', names: field('name'), topOnly: true },
    field_declaration: { kind: 'field', names: field('name') },
    method_elem: { kind: 'method' },
  },
  rust: {
    function_item: { kind: 'function' },
    function_signature_item: { kind: 'function' },
    struct_item: { kind: 'struct' },
    union_item: { kind: 'union' },
    enum_item: { kind: 'enum' },
    enum_variant: { kind: 'constant' },
    trait_item: { kind: 'trait' },
    impl_item: { kind: 'impl', names: rustImpl },
    mod_item: { kind: 'module' },
    const_item: { kind: 'constant' },
    static_item: { kind: 'variable' },
    type_item: { kind: 'type' },
    associated_type: { kind: 'type' },
    macro_definition: { kind: 'macro' },
    field_declaration: { kind: 'field' },
  },
  java: {
    module_declaration: { kind: 'module' },
    class_declaration: { kind: 'class' },
    interface_declaration: { kind: 'interface' },
    enum_declaration: { kind: 'enum' },
    record_declaration: { kind: 'record' },
    annotation_type_declaration: { kind: 'annotation' },
    method_declaration: { kind: 'method' },
    constructor_declaration: { kind: 'constructor' },
    compact_constructor_declaration: { kind: 'constructor' },
    field_declaration: { kind: 'field', names: declarators },
    constant_declaration: { kind: 'constant', names: declarators },
    enum_constant: { kind: 'constant' },
    annotation_type_element_declaration: { kind: 'method' },
  },
  c: C,
  cpp: C,
  csharp: {
    namespace_declaration: { kind: 'namespace' },
    file_scoped_namespace_declaration: { kind: 'namespace' },
    class_declaration: { kind: 'class' },
    struct_declaration: { kind: 'struct' },
    interface_declaration: { kind: 'interface' },
    enum_declaration: { kind: 'enum' },
    record_declaration: { kind: 'record' },
    delegate_declaration: { kind: 'delegate' },
    method_declaration: { kind: 'method' },
    constructor_declaration: { kind: 'constructor' },
    destructor_declaration: { kind: 'destructor' },
    local_function_statement: { kind: 'function' },
    property_declaration: { kind: 'property' },
    field_declaration: { kind: 'field', names: declarators },
    event_field_declaration: { kind: 'event', names: declarators },
    event_declaration: { kind: 'event' },
    enum_member_declaration: { kind: 'constant' },
  },
  ruby: {
    module: { kind: 'module' },
    class: { kind: 'class' },
    method: { kind: 'method' },
    singleton_method: { kind: 'method' },
    assignment: { kind: 'constant', names: rubyConstant },
  },
  php: {
    namespace_definition: { kind: 'namespace' },
    function_definition: { kind: 'function' },
    class_declaration: { kind: 'class' },
    interface_declaration: { kind: 'interface' },
    trait_declaration: { kind: 'trait' },
    enum_declaration: { kind: 'enum' },
    enum_case: { kind: 'constant' },
    method_declaration: { kind: 'method' },
    property_element: { kind: 'field' },
    const_element: { kind: 'constant', names: childText('name') },
  },
  bash: {
    function_definition: { kind: 'function' },
    variable_assignment: { kind: 'variable', topOnly: true },
  },
  json: { pair: { kind: 'property', names: jsonKey } },
  css: {
    rule_set: { kind: 'rule', names: childText('selectors') },
    media_statement: { kind: 'media', names: cssHead },
    supports_statement: { kind: 'supports', names: cssHead },
    keyframes_statement: { kind: 'keyframes', names: childText('keyframes_name') },
    at_rule: { kind: 'at-rule', names: cssHead },
  },
  html: {
    element: { kind: 'element', names: htmlElement },
    script_element: { kind: 'element', names: htmlElement },
    style_element: { kind: 'element', names: htmlElement },
  },
};

export const outlineTable = (language: LanguageId): Table => TABLES[language];

function pythonAssignment(tree: Snapshot, node: number): readonly DeclaredName[] {
  const left = tree.childByField(node, 'left');
  return left >= 0 && tree.type(left) === 'identifier' ? [{ name: tree.text(left) }] : [];
}

/** A method with its receiver's type, as Go's own documentation writes it. */
function goMethod(tree: Snapshot, node: number): readonly DeclaredName[] {
  const name = tree.text(tree.childByField(node, 'name'));
  const receiver = tree.childByField(node, 'receiver');
  for (let inner = receiver; inner >= 0 && inner < tree.after(receiver); inner++) {
    if (tree.type(inner) === 'type_identifier') return [{ name: `${tree.text(inner)}.${name}` }];
  }
  return [{ name }];
}

function goType(tree: Snapshot, node: number): readonly DeclaredName[] {
  const type = tree.childByField(node, 'type');
  const kind = type < 0 ? '' : tree.type(type);
  return [
    {
      name: tree.text(tree.childByField(node, 'name')),
      kind: kind === 'struct_type' ? 'struct' : kind === 'interface_type' ? 'interface' : 'type',
    },
  ];
}

function rustImpl(tree: Snapshot, node: number): readonly DeclaredName[] {
  const trait = tree.childByField(node, 'trait');
  const type = squash(tree.text(tree.childByField(node, 'type')));
  return [{ name: trait < 0 ? type : `${squash(tree.text(trait))} for ${type}` }];
}

function rubyConstant(tree: Snapshot, node: number): readonly DeclaredName[] {
  const left = tree.childByField(node, 'left');
  return left >= 0 && tree.type(left) === 'constant' ? [{ name: tree.text(left) }] : [];
}

function jsonKey(tree: Snapshot, node: number): readonly DeclaredName[] {
  const key = tree.childByField(node, 'key');
  return key < 0 ? [] : [{ name: tree.text(key).replace(/^"([^]*)"$/, '$1') }];
}

/** What stands before the block: `@media (min-width: 1px)`. */
function cssHead(tree: Snapshot, node: number): readonly DeclaredName[] {
  const block = tree.children(node).find((child) => tree.type(child) === 'block');
  if (block === undefined) return [];
  return [{ name: squash(tree.source.slice(tree.start(node), tree.start(block))) }];
}

function htmlElement(tree: Snapshot, node: number): readonly DeclaredName[] {
  const tag = tree.children(node).find((child) => /^(start_tag|self_closing_tag)$/.test(tree.type(child)));
  if (tag === undefined) return [];
  let name = '';
  for (const child of tree.namedChildren(tag)) {
    if (tree.type(child) === 'tag_name') name = tree.text(child);
    const [attribute, value] = tree.namedChildren(child);
    if (tree.type(child) === 'attribute' && attribute !== undefined && value !== undefined && tree.text(attribute) === 'id') {
      name += `#${tree.text(value).replaceAll(/^["']|["']$/g, '')}`;
    }
  }
  return name === '' ? [] : [{ name }];
}
