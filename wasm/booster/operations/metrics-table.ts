import type { LanguageId } from '../languages.ts';
import type { Snapshot } from '../snapshot.ts';

export interface MetricsTable {
  readonly functions: ReadonlySet<string>;
  /** Nodes that are one level of nesting for what stands in them. */
  readonly nests: ReadonlySet<string>;
  /** How many decisions the node itself is. */
  readonly decisions: (tree: Snapshot, node: number, type: string) => number;
  /** A node of `nests` that continues a chain (`else if`) instead of nesting. */
  readonly flat: (tree: Snapshot, node: number) => boolean;
  readonly nameOf: (tree: Snapshot, node: number) => string;
  readonly parametersOf: (tree: Snapshot, node: number) => number;
}

interface Words {
  readonly functions: string;
  /** One decision each. */
  readonly branches: string;
  /** One decision each if the node's operator is one of `operators`. */
  readonly logical?: string;
  readonly nests: string;
  /** One decision each unless it is the default. */
  readonly cases?: string;
}

const set = (words = ''): ReadonlySet<string> => new Set(words.split(' ').filter((word) => word !== ''));
const OPERATORS = new Set(['&&', '||', '??', 'and', 'or', '&&=', '||=', '??=']);

const ECMA: Words = {
  functions:
    'function_declaration generator_function_declaration function_expression generator_function arrow_function method_definition',
  branches: 'if_statement for_statement for_in_statement while_statement do_statement catch_clause ternary_expression',
  logical: 'binary_expression augmented_assignment_expression',
  cases: 'switch_case',
  nests: 'if_statement for_statement for_in_statement while_statement do_statement switch_statement try_statement',
};
const C: Words = {
  functions: 'function_definition lambda_expression',
  branches: 'if_statement for_statement for_range_loop while_statement do_statement catch_clause conditional_expression',
  logical: 'binary_expression',
  cases: 'case_statement',
  nests: 'if_statement for_statement for_range_loop while_statement do_statement switch_statement try_statement',
};
const NONE: Words = { functions: '', branches: '', nests: '' };

const WORDS: Readonly<Record<LanguageId, Words>> = {
  javascript: ECMA,
  typescript: ECMA,
  tsx: ECMA,
  python: {
    functions: 'function_definition lambda',
    branches:
      'if_statement elif_clause for_statement while_statement except_clause conditional_expression boolean_operator for_in_clause if_clause',
    cases: 'case_clause',
    nests: 'if_statement for_statement while_statement try_statement with_statement match_statement',
  },
  go: {
    functions: 'function_declaration method_declaration func_literal',
    branches: 'if_statement for_statement',
    logical: 'binary_expression',
    cases: 'expression_case type_case communication_case',
    nests: 'if_statement for_statement expression_switch_statement type_switch_statement select_statement',
  },
  rust: {
    functions: 'function_item closure_expression',
    branches: 'if_expression while_expression for_expression',
    logical: 'binary_expression let_chain',
    cases: 'match_arm',
    nests: 'if_expression while_expression for_expression loop_expression match_expression',
  },
  java: {
    functions: 'method_declaration constructor_declaration compact_constructor_declaration lambda_expression',
    branches: 'if_statement for_statement enhanced_for_statement while_statement do_statement catch_clause ternary_expression',
    logical: 'binary_expression',
    cases: 'switch_label',
    nests:
      'if_statement for_statement enhanced_for_statement while_statement do_statement switch_expression try_statement try_with_resources_statement',
  },
  c: C,
  cpp: C,
  csharp: {
    functions:
      'method_declaration constructor_declaration destructor_declaration local_function_statement lambda_expression anonymous_method_expression accessor_declaration operator_declaration',
    branches: 'if_statement for_statement foreach_statement while_statement do_statement catch_clause conditional_expression',
    logical: 'binary_expression assignment_expression',
    cases: 'switch_section switch_expression_arm',
    nests: 'if_statement for_statement foreach_statement while_statement do_statement switch_statement try_statement',
  },
  ruby: {
    functions: 'method singleton_method lambda',
    branches:
      'if elsif unless while until for rescue if_modifier unless_modifier while_modifier until_modifier rescue_modifier conditional',
    logical: 'binary',
    cases: 'when in_clause',
    nests: 'if unless while until for case case_match begin',
  },
  php: {
    functions: 'function_definition method_declaration anonymous_function arrow_function',
    branches:
      'if_statement else_if_clause for_statement foreach_statement while_statement do_statement catch_clause conditional_expression',
    logical: 'binary_expression augmented_assignment_expression',
    cases: 'case_statement match_conditional_expression',
    nests: 'if_statement for_statement foreach_statement while_statement do_statement switch_statement try_statement',
  },
  bash: {
    functions: 'function_definition',
    branches: 'if_statement elif_clause for_statement c_style_for_statement while_statement',
    logical: 'list binary_expression',
    cases: 'case_item',
    nests: 'if_statement for_statement c_style_for_statement while_statement case_statement',
  },
  json: NONE,
  css: NONE,
  html: NONE,
};

const TABLES = new Map<LanguageId, MetricsTable>();

export function metricsTable(language: LanguageId): MetricsTable {
  const known = TABLES.get(language);
  if (known !== undefined) return known;
  const words = WORDS[language];
  const [branches, logical, cases] = [set(words.branches), set(words.logical), set(words.cases)];
  const table: MetricsTable = {
    functions: set(words.functions),
    nests: set(words.nests),
    decisions(tree, node, type) {
      if (branches.has(type)) return 1;
      if (logical.has(type)) return tree.children(node).filter((child) => OPERATORS.has(tree.type(child))).length;
      return cases.has(type) && !isDefault(tree, node, type) ? 1 : 0;
    },
    flat: isElseIf,
    nameOf: functionName,
    parametersOf: parameterCount,
  };
  TABLES.set(language, table);
  return table;
}

/** `default:`, `else =>`, `_ =>`, `*)`: where everything else goes, which is no decision. */
function isDefault(tree: Snapshot, node: number, type: string): boolean {
  const first = tree.firstChild(node);
  if (first < 0) return false;
  if (tree.type(first) === 'default') return true;
  if (type === 'case_item') return /^\(?\s*\*\s*\)/.test(tree.text(node));
  // An arm with a condition of its own is one.
  if (tree.children(node).some((child) => /^(if_clause|when_clause|guard)$/.test(tree.type(child)))) return false;
  if (type === 'match_arm') return tree.text(tree.childByField(node, 'pattern')).trim() === '_';
  if (type === 'case_clause')
    return tree.namedChildren(node).some((child) => tree.type(child) === 'case_pattern' && tree.text(child) === '_');
  return type === 'switch_expression_arm' && tree.text(first) === '_';
}

/** An `if` that is the `else` of another one. */
function isElseIf(tree: Snapshot, node: number): boolean {
  if (!/^if(_statement|_expression)?$/.test(tree.type(node))) return false;
  const parent = tree.parent(node);
  return parent >= 0 && (tree.type(parent) === 'else_clause' || tree.field(node) === 'alternative');
}

function functionName(tree: Snapshot, node: number): string {
  let name = tree.childByField(node, 'name');
  for (
    let inner = tree.childByField(node, 'declarator');
    name < 0 && inner >= 0;
    inner = tree.childByField(inner, 'declarator')
  ) {
    if (tree.childByField(inner, 'declarator') < 0 && tree.type(inner) !== 'abstract_function_declarator') name = inner;
  }
  if (name >= 0) return tree.text(name);
  // const f = () => {}: the function is known by its variable.
  const parent = tree.parent(node);
  const holder =
    parent < 0
      ? -1
      : (['name', 'key', 'property'].map((one) => tree.childByField(parent, one)).find((child) => child >= 0) ?? -1);
  return holder >= 0 && holder !== node && tree.field(node) === 'value' ? tree.text(holder) : '';
}

function parameterCount(tree: Snapshot, node: number): number {
  let list = tree.childByField(node, 'parameters');
  for (
    let inner = tree.childByField(node, 'declarator');
    list < 0 && inner >= 0;
    inner = tree.childByField(inner, 'declarator')
  ) {
    list = tree.childByField(inner, 'parameters');
  }
  if (list < 0) return tree.childByField(node, 'parameter') < 0 ? 0 : 1;
  if (/^(identifier|name)$/.test(tree.type(list))) return 1;
  let count = 0;
  for (const child of tree.namedChildren(list)) {
    const type = tree.type(child);
    if (/comment|separator|attribute_item|receiver_parameter/.test(type)) continue;
    // Go: `a, b int` is one declaration of two.
    const names = tree.children(child).filter((inner) => tree.field(inner) === 'name').length;
    count += type === 'parameter_declaration' ? Math.max(1, names) : 1;
  }
  // C: `(void)` is none.
  return count === 1 && tree.text(list).replaceAll(/\s/g, '') === '(void)' ? 0 : count;
}
