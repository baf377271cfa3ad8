import type { Snapshot } from '../../snapshot.ts';
import { BOTH, ScopeBuilder, type Scope, type ScopeModel } from './model.ts';

const isExported = (name: string): boolean => /^\p{Lu}/u.test(name);

/** The scopes of Go: package, functions and blocks; a local name is seen from the end of its declaration on. */
export function goScopes(tree: Snapshot): ScopeModel {
  const analyser = new GoAnalyser(tree);
  analyser.all(0, analyser.builder.root);
  return analyser.builder.finish();
}

class GoAnalyser {
  readonly builder: ScopeBuilder;
  readonly tree: Snapshot;
  /** Types of this file by what they are, to tell the fields of a literal from the keys of a map. */
  readonly #types = new Map<string, string>();

  constructor(tree: Snapshot) {
    this.tree = tree;
    this.builder = new ScopeBuilder(tree);
    for (let node = 0; node < tree.count; node++) {
      if (tree.type(node) !== 'type_spec') continue;
      const type = tree.childByField(node, 'type');
      if (type >= 0) this.#types.set(tree.text(tree.childByField(node, 'name')), tree.type(type));
    }
  }

  all(node: number, scope: Scope): void {
    for (const child of this.tree.namedChildren(node)) this.visit(child, scope);
  }

  visit(node: number, scope: Scope): void {
    if (node >= 0) this.builder.nested(() => this.#visit(node, scope));
  }

  #fields(node: number, names: readonly string[], scope: Scope): void {
    for (const child of this.tree.namedChildren(node)) if (names.includes(this.tree.field(child))) this.visit(child, scope);
  }

  #visit(node: number, scope: Scope): void {
    const { tree, builder } = this;
    switch (tree.type(node)) {
      case 'identifier':
      case 'type_identifier':
      case 'package_identifier':
        if (tree.text(node) !== '_') builder.reference(scope, node, BOTH);
        return undefined;
      case 'package_clause':
        return undefined;
      case 'qualified_type':
        return this.#fields(node, ['package'], scope);
      case 'import_spec':
        return this.#import(node);
      case 'function_declaration': {
        const name = tree.childByField(node, 'name');
        if (name >= 0) this.#declare(scope, name, 'function');
        return this.#function(node, scope);
      }
      case 'method_declaration':
      case 'func_literal':
      case 'method_elem':
        return this.#function(node, scope);
      case 'function_type':
        return this.#function(node, scope);
      case 'parameter_declaration':
      case 'variadic_parameter_declaration':
      case 'type_parameter_declaration':
        for (const child of tree.namedChildren(node)) {
          if (tree.field(child) !== 'name') this.visit(child, scope);
          else if (tree.text(child) !== '_') builder.declare(scope, child, { kind: 'parameter', space: BOTH });
        }
        return undefined;
      case 'type_spec':
      case 'type_alias': {
        const name = tree.childByField(node, 'name');
        this.#declare(scope, name, 'type', tree.start(name));
        const own = builder.open(scope, 'type', node);
        return this.#fields(node, ['type_parameters', 'type'], own);
      }
      case 'var_spec':
      case 'const_spec':
        for (const child of tree.namedChildren(node)) {
          if (tree.field(child) === 'name') this.#declare(scope, child, 'variable', tree.end(node));
          else this.visit(child, scope);
        }
        return undefined;
      case 'field_declaration':
        return this.#fieldDeclaration(node, scope);
      case 'short_var_declaration':
        this.#shortDeclaration(tree.childByField(node, 'left'), scope, tree.end(node));
        return this.#fields(node, ['right'], scope);
      case 'block':
      case 'expression_case':
      case 'default_case':
      case 'type_case':
      case 'if_statement':
      case 'for_statement':
      case 'expression_switch_statement':
      case 'communication_case':
        return this.all(node, builder.open(scope, 'block', node));
      case 'type_switch_statement': {
        const own = builder.open(scope, 'block', node);
        const alias = tree.childByField(node, 'alias');
        if (alias >= 0) this.#shortDeclaration(alias, own, tree.end(tree.childByField(node, 'value')));
        for (const child of tree.namedChildren(node)) if (child !== alias) this.visit(child, own);
        return undefined;
      }
      case 'range_clause':
      case 'receive_statement': {
        const left = tree.childByField(node, 'left');
        const declares = tree.children(node).some((child) => tree.type(child) === ':=');
        if (left >= 0 && declares) this.#shortDeclaration(left, scope, tree.end(node));
        else this.visit(left, scope);
        return this.#fields(node, ['right'], scope);
      }
      case 'keyed_element':
        return this.#keyed(node, scope);
      default:
        return this.all(node, scope);
    }
  }

  #declare(scope: Scope, node: number, kind: string, visibleFrom?: number): void {
    const { tree, builder } = this;
    const name = tree.text(node);
    if (name === '_') return;
    const isPackage = scope.parent === null;
    builder.declare(scope, node, {
      kind,
      space: BOTH,
      ...(!isPackage && visibleFrom !== undefined && { visibleFrom }),
      exported: isPackage && isExported(name) ? 'its capital exports it from the package' : null,
      blocked: isPackage && kind === 'function' && /^(main|init)$/.test(name) ? `the runtime calls ${name}` : null,
      assumed: isPackage ? 'no other file of the package uses it' : null,
    });
  }

  /** `:=` declares what is not yet declared in its own scope, and assigns the rest. Its right side sees nothing of it. */
  #shortDeclaration(list: number, scope: Scope, visibleFrom: number): void {
    const { tree, builder } = this;
    for (const child of tree.namedChildren(list)) {
      if (tree.type(child) !== 'identifier') this.visit(child, scope);
      else if (tree.text(child) === '_') continue;
      else if (scope.bindings.has(tree.text(child))) builder.reference(scope, child, BOTH);
      else builder.declare(scope, child, { kind: 'variable', space: BOTH, visibleFrom });
    }
  }

  #function(node: number, scope: Scope): void {
    const { tree, builder } = this;
    const own = builder.open(scope, 'function', node);
    for (const child of tree.namedChildren(node)) {
      if (tree.field(child) === 'name') continue;
      // The body is the block that the parameters belong to.
      if (tree.field(child) === 'body') this.all(child, own);
      else this.visit(child, own);
    }
  }

  #import(node: number): void {
    const { tree, builder } = this;
    const name = tree.childByField(node, 'name');
    if (name >= 0) {
      if (tree.type(name) === 'package_identifier') builder.declare(builder.root, name, { kind: 'import', space: BOTH });
      return;
    }
    const parts = tree.text(tree.childByField(node, 'path')).slice(1, -1).split('/');
    const last = parts.findLast((part) => !/^v\d+$/.test(part)) ?? '';
    builder.declareUnwritten(
      builder.root,
      last.replace(/\.v\d+$/, ''),
      'the import takes its name from the package, not from an alias',
    );
  }

  #fieldDeclaration(node: number, scope: Scope): void {
    const { tree, builder } = this;
    if (tree.childByField(node, 'name') < 0) {
      for (let inner = node; inner < tree.after(node); inner++) {
        if (tree.type(inner) !== 'type_identifier') continue;
        builder.hazard(inner, 'it is embedded in a struct, where its name is a field', tree.text(inner), { scope });
        break;
      }
    }
    for (const child of tree.namedChildren(node)) if (tree.field(child) !== 'name') this.visit(child, scope);
  }

  /** The key of a literal is a field of a struct, or an expression in a map or list. */
  #keyed(node: number, scope: Scope): void {
    const { tree, builder } = this;
    const [key, ...rest] = tree.namedChildren(node);
    for (const child of rest) this.visit(child, scope);
    if (key === undefined) return;
    const [name] = tree.type(key) === 'literal_element' ? tree.namedChildren(key) : [key];
    if (name === undefined || tree.type(name) !== 'identifier') return this.visit(key, scope);
    const literal = tree.parent(tree.parent(node));
    const type = literal >= 0 && tree.type(literal) === 'composite_literal' ? tree.childByField(literal, 'type') : -1;
    const kind =
      type < 0 ? '' : tree.type(type) === 'type_identifier' ? (this.#types.get(tree.text(type)) ?? '') : tree.type(type);
    if (kind === 'struct_type') return undefined;
    if (/^(map|slice|array|implicit_length_array)_type$/.test(kind)) return this.visit(name, scope);
    return builder.hazard(name, 'the key of a literal may be a field or a variable', tree.text(name), { scope });
  }
}
