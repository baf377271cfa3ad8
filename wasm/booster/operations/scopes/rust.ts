import type { Snapshot } from '../../snapshot.ts';
import { BOTH, type Binding, type Form, isLocal, ScopeBuilder, type Scope, type ScopeModel, TYPE, VALUE } from './model.ts';
import { readMacro } from './rust-macros.ts';

/** The scopes of Rust: modules, functions, blocks; each `let` is a new variable from its end on, items are hoisted. */
export function rustScopes(tree: Snapshot): ScopeModel {
  const analyser = new RustAnalyser(tree);
  analyser.all(0, analyser.builder.root);
  return analyser.builder.finish(sees);
}

/** A module does not see the names round it, and an inner function sees items only. */
function sees(from: Scope, binding: Binding): boolean {
  for (let scope: Scope | null = from; scope !== null && scope !== binding.scope; scope = scope.parent) {
    if (scope.kind === 'module') return false;
    if (scope.kind === 'item' && (isLocal(binding) || binding.kind === 'type parameter')) return false;
  }
  return true;
}

const FOREIGN = /^(std|core|alloc)$/;

class RustAnalyser {
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

  #field(node: number, name: string, scope: Scope): void {
    this.visit(this.tree.childByField(node, name), scope);
  }

  /** All children but those of the given fields. */
  #rest(node: number, fields: readonly string[], scope: Scope): void {
    for (const child of this.tree.namedChildren(node)) if (!fields.includes(this.tree.field(child))) this.visit(child, scope);
  }

  #visit(node: number, scope: Scope): void {
    const { tree, builder } = this;
    switch (tree.type(node)) {
      case 'identifier':
        return builder.reference(scope, node);
      case 'type_identifier':
        return builder.reference(scope, node, TYPE);
      case 'lifetime':
      case 'label':
      case 'visibility_modifier':
        return undefined;
      case 'scoped_identifier':
      case 'scoped_type_identifier':
        return this.#path(node, scope);
      case 'shorthand_field_initializer': {
        const [name] = tree.namedChildren(node);
        if (name !== undefined && tree.type(name) === 'identifier') builder.reference(scope, name, VALUE, 'shorthand');
        return undefined;
      }
      case 'use_declaration':
        return this.#use(tree.childByField(node, 'argument'), scope, this.#visibility(node), true);
      case 'extern_crate_declaration': {
        const alias = tree.childByField(node, 'alias');
        const name = alias >= 0 ? alias : tree.childByField(node, 'name');
        builder.declare(scope, name, {
          kind: 'import',
          space: BOTH,
          form: alias >= 0 ? 'plain' : 'as',
          exported: this.#visibility(node),
        });
        return undefined;
      }
      case 'mod_item': {
        this.#item(node, scope, 'module', TYPE);
        const body = tree.childByField(node, 'body');
        if (body >= 0) this.all(body, builder.open(scope, 'module', body));
        return undefined;
      }
      case 'function_item':
      case 'function_signature_item':
        this.#item(node, scope, 'function', VALUE);
        return this.#function(node, scope);
      case 'const_item':
      case 'static_item':
        this.#item(node, scope, 'constant', VALUE);
        return this.#rest(node, ['name'], scope);
      case 'struct_item':
        this.#item(node, scope, 'struct', BOTH);
        return this.#rest(node, ['name'], builder.open(scope, 'item', node));
      case 'enum_item':
      case 'union_item':
      case 'trait_item':
      case 'type_item':
      case 'associated_type':
        this.#item(node, scope, 'type', TYPE);
        return this.#rest(node, ['name'], builder.open(scope, 'item', node));
      case 'impl_item':
        return this.all(node, builder.open(scope, 'item', node));
      case 'enum_variant':
        return this.#rest(node, ['name'], scope);
      case 'macro_definition':
        return this.#macroDefinition(node, scope);
      case 'macro_invocation':
        return readMacro(builder, node, scope);
      case 'attribute_item':
      case 'inner_attribute_item':
        return this.#attribute(node);
      case 'type_parameter':
      case 'const_parameter': {
        const name = tree.childByField(node, 'name');
        const space = tree.type(node) === 'type_parameter' ? TYPE : VALUE;
        if (name >= 0) builder.declare(scope, name, { kind: 'type parameter', space });
        return this.#rest(node, ['name'], scope);
      }
      case 'lifetime_parameter':
        return undefined;
      case 'parameter':
        this.#pattern(tree.childByField(node, 'pattern'), scope, scope.start, 'parameter');
        return this.#field(node, 'type', scope);
      case 'closure_expression': {
        const own = builder.open(scope, 'closure', node);
        for (const child of tree.namedChildren(tree.childByField(node, 'parameters'))) {
          if (tree.type(child) === 'parameter') this.visit(child, own);
          else this.#pattern(child, own, own.start, 'parameter');
        }
        return this.#rest(node, ['parameters'], own);
      }
      case 'block':
        return this.all(node, builder.open(scope, 'block', node));
      case 'let_declaration':
        this.#field(node, 'type', scope);
        this.#field(node, 'value', scope);
        this.#field(node, 'alternative', scope);
        return this.#pattern(tree.childByField(node, 'pattern'), scope, tree.end(node), 'let');
      case 'if_expression': {
        this.#field(node, 'alternative', scope);
        return this.#rest(node, ['alternative'], builder.open(scope, 'block', node));
      }
      case 'while_expression':
      case 'match_arm':
        return this.all(node, builder.open(scope, 'block', node));
      case 'let_condition':
        this.#field(node, 'value', scope);
        return this.#pattern(tree.childByField(node, 'pattern'), scope, tree.end(node), 'let');
      case 'match_pattern': {
        const condition = tree.childByField(node, 'condition');
        for (const child of tree.namedChildren(node)) if (child !== condition) this.#pattern(child, scope, scope.start, 'let');
        return this.visit(condition, scope);
      }
      case 'for_expression': {
        this.#field(node, 'value', scope);
        const own = builder.open(scope, 'block', node);
        this.#pattern(tree.childByField(node, 'pattern'), own, own.start, 'let');
        return this.#field(node, 'body', own);
      }
      default:
        return this.all(node, scope);
    }
  }

  /** Declares an item, unless it is a member of an impl or trait: those are reached through their type. */
  #item(node: number, scope: Scope, kind: string, space: number): void {
    const { tree, builder } = this;
    const name = tree.childByField(node, 'name');
    const owner = tree.type(tree.parent(node)) === 'declaration_list' ? tree.type(tree.parent(tree.parent(node))) : '';
    if (name < 0 || owner === 'impl_item' || owner === 'trait_item' || owner === 'foreign_mod_item') return;
    const isMain = kind === 'function' && tree.text(name) === 'main' && scope.parent === null;
    const file = kind === 'module' && tree.childByField(node, 'body') < 0;
    builder.declare(scope, name, {
      kind,
      space,
      exported: this.#visibility(node),
      blocked: isMain ? 'the runtime calls main' : file ? 'the module is a file of this name' : null,
      assumed: scope.parent === null ? 'no module in another file uses it' : null,
    });
  }

  #visibility(node: number): string | null {
    const found = this.tree.namedChildren(node).find((child) => this.tree.type(child) === 'visibility_modifier');
    return found === undefined ? null : `\`${this.tree.text(found)}\` makes it visible to other files`;
  }

  #function(node: number, scope: Scope): void {
    this.#rest(node, ['name'], this.builder.open(scope, 'item', node));
  }

  /** Of a path only the first name is looked up here; a last name behind a module may be an item of this file. */
  #path(node: number, scope: Scope): void {
    const { tree, builder } = this;
    const path = tree.childByField(node, 'path');
    const name = tree.childByField(node, 'name');
    if (path >= 0) {
      if (/^(identifier|type_identifier)$/.test(tree.type(path))) builder.reference(scope, path, TYPE);
      else this.visit(path, scope);
    }
    const first = (path < 0 ? '' : tree.text(path)).split('::', 1)[0] ?? '';
    if (name >= 0 && !FOREIGN.test(first) && !/^[A-Z<]/.test(first)) {
      builder.hazard(name, 'a path leads to this name', tree.text(name), { localsExempt: true });
    }
  }

  #use(node: number, scope: Scope, exported: string | null, first: boolean): void {
    const { tree, builder } = this;
    if (node < 0) return;
    const declare = (name: number, form: Form): unknown =>
      builder.declare(scope, name, { kind: 'import', space: BOTH, form, exported });
    const target = (name: number): void => {
      if (name >= 0 && tree.type(name) === 'identifier')
        builder.hazard(name, 'a `use` names it', tree.text(name), { localsExempt: true });
    };
    switch (tree.type(node)) {
      case 'identifier':
        declare(node, 'as');
        if (!first) target(node);
        return;
      case 'scoped_identifier':
        this.#usePath(tree.childByField(node, 'path'), scope, first);
        declare(tree.childByField(node, 'name'), 'as');
        return target(tree.childByField(node, 'name'));
      case 'use_as_clause': {
        const path = tree.childByField(node, 'path');
        if (tree.type(path) === 'scoped_identifier') {
          this.#usePath(tree.childByField(path, 'path'), scope, first);
          target(tree.childByField(path, 'name'));
        } else target(path);
        const alias = tree.childByField(node, 'alias');
        if (alias >= 0 && tree.text(alias) !== '_') declare(alias, 'plain');
        return;
      }
      case 'scoped_use_list': {
        const path = tree.childByField(node, 'path');
        this.#usePath(path, scope, first);
        for (const child of tree.namedChildren(tree.childByField(node, 'list'))) {
          if (tree.type(child) !== 'self') this.#use(child, scope, exported, false);
          else builder.declareUnwritten(scope, tree.text(path).split('::').at(-1) ?? '', 'it is imported as `self`');
        }
        return;
      }
      case 'use_list':
        for (const child of tree.namedChildren(node)) this.#use(child, scope, exported, first);
        return;
      case 'use_wildcard':
        return this.#usePath(tree.namedChildren(node)[0] ?? -1, scope, first);
      default:
        return;
    }
  }

  #usePath(node: number, scope: Scope, first: boolean): void {
    const { tree, builder } = this;
    if (node < 0) return;
    if (tree.type(node) === 'identifier') {
      if (first) builder.reference(scope, node, TYPE);
      else builder.hazard(node, 'a `use` names it', tree.text(node), { localsExempt: true });
    } else if (tree.type(node) === 'scoped_identifier') {
      this.#usePath(tree.childByField(node, 'path'), scope, first);
      const name = tree.childByField(node, 'name');
      builder.hazard(name, 'a `use` names it', tree.text(name), { localsExempt: true });
    }
  }

  /** Declares the names of a pattern. One with a capital is a constant or variant to compare with. */
  #pattern(node: number, scope: Scope, visibleFrom: number, kind: string, seen = new Set<string>()): void {
    const { tree, builder } = this;
    if (node < 0) return;
    const declare = (name: number, form: Form): void => {
      const text = tree.text(name);
      if (/^[A-Z]/.test(text)) return builder.reference(scope, name);
      // `a | a` is one variable; a new `let` is another one.
      builder.declare(scope, name, { kind, form, visibleFrom, shadows: !seen.has(text) });
      seen.add(text);
    };
    const inner = (child: number): void => this.#pattern(child, scope, visibleFrom, kind, seen);
    switch (tree.type(node)) {
      case 'identifier':
        return declare(node, 'plain');
      case 'tuple_struct_pattern':
      case 'struct_pattern':
        for (const child of tree.namedChildren(node)) {
          if (tree.field(child) === 'type') this.visit(child, scope);
          else inner(child);
        }
        return;
      case 'field_pattern': {
        const name = tree.childByField(node, 'name');
        if (name >= 0 && tree.type(name) === 'shorthand_field_identifier') {
          declare(name, 'shorthand');
          if (tree.start(name) !== tree.start(node))
            builder.hazard(name, '`ref` before a field is not understood', tree.text(name));
        }
        return inner(tree.childByField(node, 'pattern'));
      }
      case 'captured_pattern':
      case 'ref_pattern':
      case 'mut_pattern':
      case 'reference_pattern':
      case 'tuple_pattern':
      case 'slice_pattern':
      case 'or_pattern':
        for (const child of tree.namedChildren(node)) if (tree.type(child) !== 'mutable_specifier') inner(child);
        return;
      default:
        return this.visit(node, scope);
    }
  }

  #macroDefinition(node: number, scope: Scope): void {
    const { tree, builder } = this;
    builder.declare(scope, tree.childByField(node, 'name'), { kind: 'macro', space: 0, blocked: 'macros are not renamed' });
    for (let inner = node; inner < tree.after(node); inner++) {
      if (tree.type(inner).endsWith('identifier')) builder.hazard(inner, 'a macro uses this name', tree.text(inner));
    }
  }

  /** Attributes are code of others: `#[serde(default = "name")]` calls a function by its name. */
  #attribute(node: number): void {
    const { tree, builder } = this;
    for (const [word] of tree.text(node).matchAll(/[\p{L}_][\p{L}\p{N}_]*/gu))
      builder.hazard(node, 'an attribute names it', word, { localsExempt: true });
  }
}
