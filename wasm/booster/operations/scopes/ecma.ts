import type { Snapshot } from '../../snapshot.ts';
import { BOTH, type Form, ScopeBuilder, type Scope, type ScopeModel, TYPE, VALUE } from './model.ts';

const FUNCTION_SCOPES = new Set(['function', 'module', 'namespace', 'static']);

/** The scopes of JavaScript, TypeScript and TSX. */
export function ecmaScopes(tree: Snapshot): ScopeModel {
  const analyser = new EcmaAnalyser(tree);
  analyser.all(0, analyser.builder.root);
  return analyser.builder.finish();
}

class EcmaAnalyser {
  readonly builder: ScopeBuilder;
  readonly tree: Snapshot;

  constructor(tree: Snapshot) {
    this.tree = tree;
    this.builder = new ScopeBuilder(tree);
  }

  all(node: number, scope: Scope): void {
    for (const child of this.tree.namedChildren(node)) this.visit(child, scope);
  }

  visit(node: number, scope: Scope): void {
    this.builder.nested(() => this.#visit(node, scope));
  }

  #field(node: number, name: string, scope: Scope): void {
    for (const child of this.tree.children(node))
      if (this.tree.field(child) === name && this.tree.isNamed(child)) this.visit(child, scope);
  }

  #visit(node: number, scope: Scope): void {
    const { tree, builder } = this;
    switch (tree.type(node)) {
      case 'identifier':
        return builder.reference(scope, node);
      case 'type_identifier':
        return builder.reference(scope, node, TYPE);
      case 'shorthand_property_identifier':
      case 'shorthand_property_identifier_pattern':
        return builder.reference(scope, node, VALUE, 'shorthand');
      case 'private_property_identifier':
        return builder.reference(scope, node);
      case 'import_statement':
        return this.#import(node, scope);
      case 'export_statement':
        return this.#export(node, scope);
      case 'function_declaration':
      case 'generator_function_declaration':
      case 'function_signature': {
        const name = tree.childByField(node, 'name');
        const inBlock = scope.kind === 'block' ? 'block function' : 'function';
        if (name >= 0) builder.declare(this.#merged(scope, tree.text(name)), name, { kind: inBlock, from: scope });
        return this.#function(node, scope);
      }
      case 'function_expression':
      case 'generator_function': {
        const name = tree.childByField(node, 'name');
        const own = name < 0 ? scope : builder.open(scope, 'name', node);
        if (name >= 0) builder.declare(own, name, { kind: 'function' });
        return this.#function(node, own);
      }
      case 'arrow_function':
      case 'function_type':
      case 'constructor_type':
      case 'call_signature':
      case 'construct_signature':
        return this.#function(node, scope);
      case 'method_definition':
      case 'method_signature':
      case 'abstract_method_signature':
        this.#memberName(node, scope);
        return this.#function(node, scope);
      case 'field_definition':
      case 'public_field_definition':
        this.#memberName(node, scope);
        this.#field(node, 'type', scope);
        this.#field(node, 'decorator', scope);
        return this.#field(node, 'value', builder.open(scope, 'function', node));
      case 'class_declaration':
      case 'abstract_class_declaration':
        builder.declare(scope, tree.childByField(node, 'name'), { kind: 'class', space: BOTH });
        return this.#class(node, scope);
      case 'class': {
        const own = builder.open(scope, 'name', node);
        const name = tree.childByField(node, 'name');
        if (name >= 0) builder.declare(own, name, { kind: 'class', space: BOTH });
        return this.#class(node, own);
      }
      case 'interface_declaration':
      case 'type_alias_declaration': {
        builder.declare(scope, tree.childByField(node, 'name'), { kind: 'type', space: TYPE });
        const own = builder.open(scope, 'type', node);
        for (const child of tree.namedChildren(node)) if (tree.field(child) !== 'name') this.visit(child, own);
        return undefined;
      }
      case 'type_parameter':
        builder.declare(scope, tree.childByField(node, 'name'), { kind: 'type parameter', space: TYPE });
        for (const child of tree.namedChildren(node)) if (tree.field(child) !== 'name') this.visit(child, scope);
        return undefined;
      case 'enum_declaration':
        return this.#enum(node, scope);
      case 'internal_module':
      case 'module':
        return this.#namespace(node, scope);
      case 'ambient_declaration':
        return this.#ambient(node, scope);
      case 'lexical_declaration':
      case 'variable_declaration':
        for (const child of tree.namedChildren(node)) {
          if (tree.type(child) !== 'variable_declarator') continue;
          this.#pattern(tree.childByField(child, 'name'), this.#homeOf(node, scope), scope, tree.text(tree.firstChild(node)));
          this.#field(child, 'type', scope);
          this.#field(child, 'value', scope);
        }
        return undefined;
      case 'for_statement':
        return this.all(node, builder.open(scope, 'block', node));
      case 'for_in_statement':
        return this.#forIn(node, scope);
      case 'catch_clause': {
        const own = builder.open(scope, 'catch', node);
        const parameter = tree.childByField(node, 'parameter');
        if (parameter >= 0) this.#pattern(parameter, own, own, 'catch');
        this.#field(node, 'type', own);
        return this.#field(node, 'body', own);
      }
      case 'statement_block':
      case 'switch_body':
        return this.all(node, builder.open(scope, 'block', node));
      case 'class_static_block':
        return this.#field(node, 'body', builder.open(scope, 'static', node));
      case 'with_statement':
        builder.hazard(node, 'a `with` statement makes its names depend on an object');
        return this.all(node, scope);
      case 'call_expression':
        this.#call(node);
        return this.all(node, scope);
      case 'member_expression':
      case 'subscript_expression':
        this.#globalAccess(node);
        return this.all(node, scope);
      case 'pair_pattern':
      case 'pair':
        return this.all(node, scope);
      case 'jsx_opening_element':
      case 'jsx_closing_element':
      case 'jsx_self_closing_element':
        return this.#jsx(node, scope);
      case 'nested_type_identifier':
        return this.#qualifier(tree.childByField(node, 'module'), scope);
      case 'nested_identifier':
        return this.#qualifier(node, scope);
      case 'conditional_type':
        return this.all(node, builder.open(scope, 'type', node));
      case 'infer_type': {
        const [name, ...rest] = tree.namedChildren(node);
        if (name !== undefined) builder.declare(scope, name, { kind: 'type parameter', space: TYPE });
        for (const child of rest) this.visit(child, scope);
        return undefined;
      }
      case 'index_signature':
        return this.#indexSignature(node, scope);
      case 'mapped_type_clause':
        builder.declare(scope, tree.childByField(node, 'name'), { kind: 'type parameter', space: TYPE });
        this.#field(node, 'type', scope);
        return this.#field(node, 'alias', scope);
      default:
        return this.all(node, scope);
    }
  }

  #import(node: number, scope: Scope): void {
    const { tree, builder } = this;
    for (let inner = node + 1; inner < tree.after(node); inner++) {
      const type = tree.type(inner);
      if (type === 'import_attribute') return;
      if (type === 'import_specifier') {
        const alias = tree.childByField(inner, 'alias');
        const name = tree.childByField(inner, 'name');
        const options = { kind: 'import', space: BOTH } as const;
        if (alias >= 0) builder.declare(scope, alias, options);
        else if (name >= 0) builder.declare(scope, name, { ...options, form: 'as' });
        inner = tree.after(inner) - 1;
      } else if (type === 'identifier') builder.declare(scope, inner, { kind: 'import', space: BOTH });
    }
  }

  #export(node: number, scope: Scope): void {
    const { tree, builder } = this;
    if (tree.childByField(node, 'source') >= 0) return;
    const isDefault = tree.children(node).some((child) => tree.type(child) === 'default');
    const names: number[] = [];
    for (const child of tree.namedChildren(node)) {
      if (tree.type(child) !== 'export_clause') {
        this.visit(child, scope);
        if (tree.field(child) === 'declaration' && !isDefault) names.push(...this.#declaredIn(child));
        continue;
      }
      for (const specifier of tree.namedChildren(child)) {
        const name = tree.childByField(specifier, 'name');
        if (name < 0) continue;
        builder.reference(scope, name, BOTH);
        if (tree.childByField(specifier, 'alias') < 0)
          builder.hazard(name, 'it is exported under this name', tree.text(name), { scope });
      }
    }
    // Declared names are known by where they stand, since `export var` puts them into an outer scope.
    for (const name of names) builder.hazard(name, 'it is exported under this name', tree.text(name), { scope });
  }

  /** The names that a declaration declares, without those inside its bodies. */
  #declaredIn(node: number): readonly number[] {
    const { tree } = this;
    const name = tree.childByField(node, 'name');
    if (name >= 0 && tree.type(node) !== 'variable_declarator') return [name];
    const found: number[] = [];
    for (const child of tree.namedChildren(node)) {
      if (tree.type(child) !== 'variable_declarator') continue;
      const pattern = tree.childByField(child, 'name');
      for (let inner = pattern; inner >= 0 && inner < tree.after(pattern); inner++) {
        if (/^(identifier|shorthand_property_identifier_pattern)$/.test(tree.type(inner))) found.push(inner);
      }
    }
    return found;
  }

  /** Parameters, result and body of anything with parameters. */
  #function(node: number, scope: Scope): void {
    const { tree, builder } = this;
    const own = builder.open(scope, 'parameters', node);
    const single = tree.childByField(node, 'parameter');
    if (single >= 0) this.#pattern(single, own, own, 'parameter');
    for (const child of tree.namedChildren(node)) {
      const field = tree.field(child);
      if (field === 'name' || field === 'parameter' || field === 'body') continue;
      if (tree.type(child) === 'formal_parameters') this.#parameters(child, own);
      else this.visit(child, own);
    }
    const body = tree.childByField(node, 'body');
    if (body < 0) return;
    // A scope of its own, because default values do not see what the body declares.
    if (tree.type(body) === 'statement_block') this.all(body, builder.open(own, 'function', body));
    else this.visit(body, own);
  }

  #parameters(list: number, scope: Scope): void {
    const { tree, builder } = this;
    for (const child of tree.namedChildren(list)) {
      if (!/^(required|optional)_parameter$/.test(tree.type(child))) {
        this.#pattern(child, scope, scope, 'parameter');
        continue;
      }
      const pattern = tree.childByField(child, 'pattern');
      const property = tree
        .children(child)
        .some((one) => /^(accessibility_modifier|override_modifier|readonly)$/.test(tree.type(one)));
      if (pattern >= 0) {
        this.#pattern(pattern, scope, scope, 'parameter');
        if (property) builder.hazard(pattern, 'the parameter is a property of the class, too', tree.text(pattern), { scope });
      }
      for (const inner of tree.namedChildren(child)) if (inner !== pattern) this.visit(inner, scope);
    }
  }

  /** Declares the names of a pattern in `home`; default values and computed keys are looked up from `scope`. */
  #pattern(node: number, home: Scope, scope: Scope, kind: string): void {
    const { tree, builder } = this;
    if (node < 0) return;
    const declare = (name: number, form: Form): unknown =>
      builder.declare(this.#merged(home, tree.text(name)), name, { kind, form, from: scope });
    switch (tree.type(node)) {
      case 'identifier':
        declare(node, 'plain');
        return;
      case 'shorthand_property_identifier_pattern':
        declare(node, 'shorthand');
        return;
      case 'pair_pattern':
        this.#field(node, 'key', scope);
        return this.#pattern(tree.childByField(node, 'value'), home, scope, kind);
      case 'object_assignment_pattern':
      case 'assignment_pattern':
        this.#pattern(tree.childByField(node, 'left'), home, scope, kind);
        return this.#field(node, 'right', scope);
      case 'object_pattern':
      case 'array_pattern':
      case 'rest_pattern':
        for (const child of tree.namedChildren(node)) this.#pattern(child, home, scope, kind);
        return;
      default:
        return this.visit(node, scope);
    }
  }

  /** Where a declaration's names live: `var` goes out to the function. */
  #homeOf(node: number, scope: Scope): Scope {
    if (this.tree.type(node) !== 'variable_declaration') return scope;
    let home = scope;
    while (home.parent !== null && !FUNCTION_SCOPES.has(home.kind)) home = home.parent;
    return home;
  }

  /** A `var` or function of the body with the name of a parameter is that parameter. */
  #merged(home: Scope, name: string): Scope {
    const outer = home.kind === 'function' ? home.parent : null;
    return outer?.kind === 'parameters' && outer.bindings.has(name) ? outer : home;
  }

  #forIn(node: number, scope: Scope): void {
    const { tree, builder } = this;
    const own = builder.open(scope, 'block', node);
    const left = tree.childByField(node, 'left');
    const kind = tree.childByField(node, 'kind');
    if (kind < 0) this.visit(left, own);
    else {
      let home = own;
      if (tree.text(kind) === 'var') while (home.parent !== null && !FUNCTION_SCOPES.has(home.kind)) home = home.parent;
      this.#pattern(left, home, own, tree.text(kind));
    }
    this.#field(node, 'right', scope);
    this.#field(node, 'body', own);
  }

  #class(node: number, scope: Scope): void {
    const { tree, builder } = this;
    const own = builder.open(scope, 'class', node);
    const body = tree.childByField(node, 'body');
    // Private names are known before any use of them.
    for (const member of body < 0 ? [] : tree.namedChildren(body)) {
      const name = tree.childByField(member, tree.type(member) === 'field_definition' ? 'property' : 'name');
      if (name >= 0 && tree.type(name) === 'private_property_identifier') builder.declare(own, name, { kind: 'private member' });
    }
    for (const child of tree.namedChildren(node)) if (tree.field(child) !== 'name') this.visit(child, own);
  }

  /** A computed name is code; a private one was declared with its class. */
  #memberName(node: number, scope: Scope): void {
    const { tree } = this;
    const name = tree.childByField(node, tree.type(node) === 'field_definition' ? 'property' : 'name');
    if (name >= 0 && tree.type(name) === 'computed_property_name') this.visit(name, scope);
  }

  #enum(node: number, scope: Scope): void {
    const { tree, builder } = this;
    builder.declare(scope, tree.childByField(node, 'name'), { kind: 'enum', space: BOTH });
    const own = builder.open(scope, 'enum', node);
    const body = tree.childByField(node, 'body');
    if (body < 0) return;
    for (const member of tree.namedChildren(body)) {
      const name = tree.type(member) === 'enum_assignment' ? tree.childByField(member, 'name') : member;
      if (name >= 0 && tree.type(name) === 'property_identifier') {
        builder.declare(own, name, { kind: 'enum member', blocked: 'members of an enum are used through it' });
      }
      this.#field(member, 'value', own);
    }
  }

  #namespace(node: number, scope: Scope): void {
    const { tree, builder } = this;
    const name = tree.childByField(node, 'name');
    if (name >= 0 && tree.type(name) === 'identifier') builder.declare(scope, name, { kind: 'namespace', space: BOTH });
    const body = tree.childByField(node, 'body');
    if (body >= 0) this.all(body, builder.open(scope, 'namespace', node));
  }

  /** `declare …`: the thing itself is somewhere else. */
  #ambient(node: number, scope: Scope): void {
    const { tree, builder } = this;
    builder.hazard(node, 'it is only declared here and defined somewhere else');
    for (const child of tree.namedChildren(node)) this.visit(child, scope);
  }

  #call(node: number): void {
    const called = this.tree.childByField(node, 'function');
    if (called >= 0 && this.tree.type(called) === 'identifier' && this.tree.text(called) === 'eval') {
      this.builder.hazard(node, '`eval` may use any name that it can see');
    }
  }

  /** `window.x` may be the global variable `x`. */
  #globalAccess(node: number): void {
    const { tree, builder } = this;
    const object = tree.childByField(node, 'object');
    if (object < 0 || !/^(window|globalThis|self|global)$/.test(tree.text(object))) return;
    const property = tree.childByField(node, 'property');
    if (property >= 0)
      builder.hazard(node, 'it may be used as a property of the global object', tree.text(property), { globalsOnly: true });
    else builder.hazard(node, 'a property of the global object is chosen at run time', null, { globalsOnly: true });
  }

  #jsx(node: number, scope: Scope): void {
    const { tree, builder } = this;
    for (const child of tree.namedChildren(node)) {
      if (tree.field(child) !== 'name') this.visit(child, scope);
      else if (tree.type(child) !== 'identifier') this.#qualifier(child, scope);
      // A small letter means an element of the page, not a name of the code.
      else if (!/^[a-z]/.test(tree.text(child))) builder.reference(scope, child, VALUE, 'jsx');
    }
  }

  /** The first name of `a.b.c` in a place where all of it is one name to the grammar. */
  #qualifier(node: number, scope: Scope): void {
    const { tree, builder } = this;
    let first = node;
    while (first >= 0 && tree.type(first) !== 'identifier') {
      const next = tree.firstChild(first);
      if (next < 0) return;
      first = next;
    }
    if (first >= 0) builder.reference(scope, first, BOTH);
  }

  #indexSignature(node: number, scope: Scope): void {
    const { tree, builder } = this;
    const own = builder.open(scope, 'type', node);
    for (const child of tree.namedChildren(node)) {
      if (tree.field(child) === 'name') builder.declare(own, child, { kind: 'parameter' });
      else this.visit(child, own);
    }
  }
}
