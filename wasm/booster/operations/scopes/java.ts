import type { Snapshot } from '../../snapshot.ts';
import { BOTH, METHOD, ScopeBuilder, type Scope, type ScopeModel, TYPE, VALUE } from './model.ts';

/** A class that inherits may have more names than this file shows. */
export const DERIVED = 'derived class';

/** The scopes of Java. Fields and methods count as long as they are private: all others belong to other files, too. */
export function javaScopes(tree: Snapshot): ScopeModel {
  const analyser = new JavaAnalyser(tree);
  analyser.all(0, analyser.builder.root);
  return analyser.builder.finish();
}

const CLASSES = /^(class|interface|enum|record|annotation_type)_declaration$/;

class JavaAnalyser {
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
    if (node >= 0) this.builder.nested(() => this.#visit(node, scope));
  }

  #rest(node: number, fields: readonly string[], scope: Scope): void {
    for (const child of this.tree.namedChildren(node)) if (!fields.includes(this.tree.field(child))) this.visit(child, scope);
  }

  #visit(node: number, scope: Scope): void {
    const { tree, builder } = this;
    const type = tree.type(node);
    if (CLASSES.test(type)) return this.#class(node, scope);
    switch (type) {
      case 'identifier':
        return builder.reference(scope, node, BOTH);
      case 'type_identifier':
        return builder.reference(scope, node, TYPE);
      case 'package_declaration':
      case 'module_declaration':
        return undefined;
      case 'import_declaration':
        return this.#import(node, scope);
      case 'scoped_type_identifier': {
        const [first] = tree.namedChildren(node);
        return this.visit(first ?? -1, scope);
      }
      case 'annotation':
      case 'marker_annotation': {
        const name = tree.childByField(node, 'name');
        if (name >= 0 && tree.type(name) === 'identifier') builder.reference(scope, name, TYPE);
        return this.#rest(node, ['name'], scope);
      }
      case 'element_value_pair':
        return this.#rest(node, ['key'], scope);
      case 'field_declaration':
      case 'constant_declaration':
        return this.#fields(node, scope);
      case 'method_declaration':
        this.#member(node, scope, METHOD, 'method');
        return this.#function(node, scope);
      case 'annotation_type_element_declaration':
        this.#member(node, scope, METHOD, 'method');
        return this.#rest(node, ['name'], scope);
      case 'constructor_declaration':
      case 'compact_constructor_declaration':
        builder.reference(scope, tree.childByField(node, 'name'), TYPE);
        return this.#function(node, scope);
      case 'enum_constant': {
        builder.declare(scope, tree.childByField(node, 'name'), {
          kind: 'enum constant',
          exported: 'it is used through its enum',
        });
        const body = tree.childByField(node, 'body');
        if (body >= 0) this.all(body, builder.open(scope, DERIVED, body));
        return this.#rest(node, ['name', 'body'], scope);
      }
      case 'local_variable_declaration':
        for (const child of tree.namedChildren(node)) {
          if (tree.field(child) === 'declarator') this.#declarator(child, scope, 'variable');
          else this.visit(child, scope);
        }
        return undefined;
      case 'formal_parameter':
      case 'catch_formal_parameter':
        builder.declare(scope, tree.childByField(node, 'name'), { kind: 'parameter' });
        return this.#rest(node, ['name'], scope);
      case 'spread_parameter':
        for (const child of tree.namedChildren(node)) {
          if (tree.type(child) === 'variable_declarator') this.#declarator(child, scope, 'parameter');
          else this.visit(child, scope);
        }
        return undefined;
      case 'lambda_expression':
        return this.#lambda(node, scope);
      case 'resource': {
        const name = tree.childByField(node, 'name');
        if (name >= 0) builder.declare(scope, name, { kind: 'variable', visibleFrom: tree.start(name) });
        return this.#rest(node, ['name'], scope);
      }
      case 'instanceof_expression': {
        const name = tree.childByField(node, 'name');
        if (name >= 0) this.#patternVariable(name, scope);
        return this.#rest(node, ['name'], scope);
      }
      case 'type_pattern':
      case 'record_pattern_component': {
        const names = tree.namedChildren(node);
        const name = names.length > 1 ? names.at(-1) : undefined;
        if (name !== undefined && tree.type(name) === 'identifier') this.#patternVariable(name, scope);
        for (const child of names) if (child !== name) this.visit(child, scope);
        return undefined;
      }
      case 'enhanced_for_statement': {
        this.visit(tree.childByField(node, 'value'), scope);
        const own = builder.open(scope, 'block', node);
        builder.declare(own, tree.childByField(node, 'name'), { kind: 'variable' });
        return this.#rest(node, ['name', 'value'], own);
      }
      case 'block':
      case 'for_statement':
      case 'catch_clause':
      case 'try_with_resources_statement':
      case 'switch_block':
      case 'switch_rule':
      case 'switch_block_statement_group':
        // A group of statements under a label is no block of its own.
        return this.all(node, type === 'switch_block_statement_group' ? scope : builder.open(scope, 'block', node));
      case 'switch_label':
        for (const child of tree.namedChildren(node)) {
          if (tree.type(child) === 'identifier')
            builder.hazard(child, 'a `case` names it, or a constant of an enum', tree.text(child), { scope });
          else this.visit(child, scope);
        }
        return undefined;
      case 'labeled_statement':
        for (const child of tree.namedChildren(node).slice(1)) this.visit(child, scope);
        return undefined;
      case 'break_statement':
      case 'continue_statement':
        return undefined;
      case 'class_body':
        // The body of an anonymous class; those of declared ones are visited with their class.
        return this.all(node, builder.open(scope, DERIVED, node));
      case 'field_access':
        return this.#fieldAccess(node, scope);
      case 'method_invocation':
        return this.#call(node, scope);
      case 'method_reference': {
        const children = tree.namedChildren(node);
        const name = children.length > 1 ? children.at(-1) : undefined;
        if (name !== undefined) builder.hazard(name, 'a method reference names it', tree.text(name), { localsExempt: true });
        for (const child of children) if (child !== name) this.visit(child, scope);
        return undefined;
      }
      case 'type_parameter': {
        const [name, ...rest] = tree.namedChildren(node);
        if (name !== undefined && tree.type(name) === 'type_identifier')
          builder.declare(scope, name, { kind: 'type parameter', space: TYPE });
        for (const child of rest) this.visit(child, scope);
        return undefined;
      }
      default:
        return this.all(node, scope);
    }
  }

  #modifiers(node: number): ReadonlySet<string> {
    const { tree } = this;
    const list = tree.namedChildren(node).find((child) => tree.type(child) === 'modifiers');
    return new Set(list === undefined ? [] : tree.children(list).map((child) => tree.type(child)));
  }

  #class(node: number, scope: Scope): void {
    const { tree, builder } = this;
    const modifiers = this.#modifiers(node);
    const local = scope.kind !== 'class' && scope.kind !== DERIVED && scope.parent !== null;
    const open = !local && !modifiers.has('private');
    builder.declare(scope, tree.childByField(node, 'name'), {
      kind: 'class',
      space: TYPE,
      exported: open && (modifiers.has('public') || modifiers.has('protected')) ? 'other files can see it' : null,
      assumed: open ? 'no other file of the package uses it' : null,
    });
    const inherits = tree
      .children(node)
      .some((child) => /^(superclass|super_interfaces|extends_interfaces)$/.test(tree.type(child)));
    const own = builder.open(scope, inherits ? DERIVED : 'class', node);
    const body = tree.childByField(node, 'body');
    for (const child of tree.namedChildren(node)) {
      if (tree.field(child) === 'name') continue;
      if (child === body) this.all(child, own);
      else if (tree.type(node) === 'record_declaration' && tree.field(child) === 'parameters') {
        for (const parameter of tree.namedChildren(child)) {
          const name = tree.childByField(parameter, 'name');
          if (name >= 0) builder.declare(own, name, { kind: 'field', exported: 'it is a component of a record' });
          this.#rest(parameter, ['name'], own);
        }
      } else this.visit(child, own);
    }
  }

  #member(node: number, scope: Scope, space: number, kind: string, name = this.tree.childByField(node, 'name')): void {
    const isPrivate = this.#modifiers(node).has('private');
    this.builder.declare(scope, name, {
      kind,
      space,
      exported: isPrivate ? null : 'it is not private, so other files can see it',
    });
  }

  #fields(node: number, scope: Scope): void {
    const { tree } = this;
    for (const child of tree.namedChildren(node)) {
      if (tree.field(child) !== 'declarator') this.visit(child, scope);
      else {
        this.#member(node, scope, VALUE, 'field', tree.childByField(child, 'name'));
        this.#rest(child, ['name'], scope);
      }
    }
  }

  #function(node: number, scope: Scope): void {
    const { tree, builder } = this;
    const own = builder.open(scope, 'function', node);
    for (const child of tree.namedChildren(node)) {
      if (tree.field(child) === 'name') continue;
      if (/^(block|constructor_body)$/.test(tree.type(child))) this.all(child, own);
      else this.visit(child, own);
    }
  }

  #lambda(node: number, scope: Scope): void {
    const { tree, builder } = this;
    const own = builder.open(scope, 'block', node);
    const parameters = tree.childByField(node, 'parameters');
    if (tree.type(parameters) === 'identifier') builder.declare(own, parameters, { kind: 'parameter' });
    else if (tree.type(parameters) === 'inferred_parameters') {
      for (const child of tree.namedChildren(parameters)) builder.declare(own, child, { kind: 'parameter' });
    } else this.visit(parameters, own);
    this.visit(tree.childByField(node, 'body'), own);
  }

  #declarator(node: number, scope: Scope, kind: string): void {
    const { tree, builder } = this;
    const name = tree.childByField(node, 'name');
    builder.declare(scope, name, { kind, ...(kind === 'variable' && { visibleFrom: tree.start(name) }) });
    this.#rest(node, ['name'], scope);
  }

  /** It is seen where the test has succeeded, which may be behind its statement: it counts for the whole block. */
  #patternVariable(name: number, scope: Scope): void {
    this.builder.declare(scope, name, { kind: 'pattern variable', visibleFrom: this.tree.start(name) });
  }

  #import(node: number, scope: Scope): void {
    const { tree, builder } = this;
    const path = tree.namedChildren(node).find((child) => tree.type(child) === 'scoped_identifier');
    if (path === undefined || tree.children(node).some((child) => tree.type(child) === 'asterisk')) return;
    builder.declareUnwritten(scope, tree.text(tree.childByField(path, 'name')), 'it is imported under its own name');
  }

  #classOf(scope: Scope): Scope {
    let own = scope;
    while (own.parent !== null && own.kind !== 'class' && own.kind !== DERIVED) own = own.parent;
    return own;
  }

  /** `this.f` is the field; `other.f` may be the same field of another object. */
  #fieldAccess(node: number, scope: Scope): void {
    const { tree, builder } = this;
    const object = tree.childByField(node, 'object');
    const field = tree.childByField(node, 'field');
    if (object >= 0 && tree.type(object) === 'this' && field >= 0) return builder.reference(this.#classOf(scope), field);
    if (field >= 0) builder.hazard(field, 'it may be used through another object', tree.text(field), { localsExempt: true });
    return this.visit(object, scope);
  }

  #call(node: number, scope: Scope): void {
    const { tree, builder } = this;
    const object = tree.childByField(node, 'object');
    const name = tree.childByField(node, 'name');
    if (object < 0) builder.reference(scope, name, METHOD);
    else if (tree.type(object) === 'this') builder.reference(this.#classOf(scope), name, METHOD);
    else builder.hazard(name, 'it may be called through another object', tree.text(name), { localsExempt: true });
    this.#rest(node, ['name'], scope);
  }
}
