import type { Snapshot } from '../../snapshot.ts';
import { BOTH, type Form, ScopeBuilder, type Scope, type ScopeModel } from './model.ts';

/** Names that a function takes from outside by `global` and `nonlocal`. */
type Outer = ReadonlyMap<string, 'global' | 'nonlocal'>;

/** The scopes of Python: functions, classes, comprehensions; no blocks. */
export function pythonScopes(tree: Snapshot): ScopeModel {
  const analyser = new PythonAnalyser(tree);
  analyser.all(0, analyser.builder.root);
  // Functions in a class do not see the names of the class.
  return analyser.builder.finish((_, binding) => binding.scope.kind !== 'class');
}

/** How a hazard names a parameter that a call passes by name. */
const keywordOf = (parameter: string, callee: string): string => `${callee}(${parameter}=)`;

/** The calls that may mean a parameter: of its function, of anything if that is called in ways of its own (`__init__`). */
export function meansParameter(hazardName: string, parameter: string, owner: string | null): boolean {
  if (!hazardName.endsWith(`(${parameter}=)`)) return false;
  const callee = hazardName.slice(0, hazardName.indexOf('('));
  return callee === '' || owner === null || owner.startsWith('__') || callee === owner;
}

class PythonAnalyser {
  readonly builder: ScopeBuilder;
  readonly tree: Snapshot;
  readonly #outer = new Map<Scope, Outer>();

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
    for (const child of this.tree.children(node))
      if (this.tree.field(child) === name && this.tree.isNamed(child)) this.visit(child, scope);
  }

  #visit(node: number, scope: Scope): void {
    const { tree, builder } = this;
    switch (tree.type(node)) {
      case 'identifier':
        return builder.reference(scope, node, BOTH);
      case 'attribute':
        return this.#field(node, 'object', scope);
      case 'keyword_argument':
        this.#keyword(node);
        return this.#field(node, 'value', scope);
      case 'call':
        this.#call(node);
        return this.all(node, scope);
      case 'function_definition':
        return this.#function(node, scope);
      case 'class_definition':
        return this.#class(node, scope);
      case 'lambda': {
        const own = builder.open(scope, 'function', node);
        this.#parameters(tree.childByField(node, 'parameters'), { own, typed: scope, outside: scope }, null);
        return this.#field(node, 'body', own);
      }
      case 'list_comprehension':
      case 'set_comprehension':
      case 'dictionary_comprehension':
      case 'generator_expression':
        return this.#comprehension(node, scope);
      case 'import_statement':
      case 'import_from_statement':
      case 'future_import_statement':
        return this.#import(node, scope);
      case 'global_statement':
      case 'nonlocal_statement':
        for (const child of tree.namedChildren(node)) builder.reference(this.#homeOf(scope, child), child, BOTH);
        return undefined;
      case 'assignment':
      case 'augmented_assignment':
        this.#target(tree.childByField(node, 'left'), scope, 'variable');
        this.#field(node, 'type', scope);
        return this.#field(node, 'right', scope);
      case 'named_expression': {
        // It binds in the function round a comprehension, not in the comprehension.
        let home = scope;
        while (home.kind === 'comprehension' && home.parent !== null) home = home.parent;
        this.#target(tree.childByField(node, 'name'), home, 'variable');
        return this.#field(node, 'value', scope);
      }
      case 'for_statement':
        this.#target(tree.childByField(node, 'left'), scope, 'variable');
        for (const child of tree.namedChildren(node)) if (tree.field(child) !== 'left') this.visit(child, scope);
        return undefined;
      case 'as_pattern':
        for (const child of tree.namedChildren(node)) {
          if (tree.type(child) === 'as_pattern_target')
            for (const target of tree.namedChildren(child)) this.#target(target, scope, 'variable');
          else if (tree.type(tree.parent(node)) === 'case_pattern' && tree.type(child) === 'identifier')
            this.#target(child, scope, 'variable');
          else this.visit(child, scope);
        }
        return undefined;
      case 'case_pattern':
        return this.#casePattern(node, scope);
      case 'delete_statement':
        return this.all(node, scope);
      case 'type_alias_statement':
        return this.#typeAlias(node, scope);
      case 'type':
        this.#annotation(node);
        return this.all(node, scope);
      default:
        return this.all(node, scope);
    }
  }

  /** Declares what an assignment binds; `a.b` and `a[0]` bind nothing. */
  #target(node: number, scope: Scope, kind: string): void {
    const { tree } = this;
    if (node < 0) return;
    switch (tree.type(node)) {
      case 'identifier':
        return this.#bind(scope, node, kind);
      case 'pattern_list':
      case 'tuple_pattern':
      case 'list_pattern':
      case 'tuple':
      case 'list':
      case 'expression_list':
      case 'parenthesized_expression':
      case 'list_splat_pattern':
      case 'list_splat':
        for (const child of tree.namedChildren(node)) this.#target(child, scope, kind);
        return;
      default:
        return this.visit(node, scope);
    }
  }

  #bind(scope: Scope, node: number, kind: string, form: Form = 'plain'): void {
    const name = this.tree.text(node);
    const outer = this.#outer.get(scope)?.get(name);
    if (outer === 'nonlocal') return this.builder.reference(scope.parent ?? scope, node, BOTH, form);
    const home = outer === 'global' ? this.builder.root : scope;
    this.#declare(home, node, kind, form);
  }

  #declare(home: Scope, node: number, kind: string, form: Form = 'plain'): void {
    this.builder.declare(home, node, {
      kind,
      space: BOTH,
      form,
      blocked: home.kind === 'class' ? 'it is an attribute of its class, whose uses depend on the type of an object' : null,
      assumed:
        home.kind === 'module' && !this.tree.text(node).startsWith('_') ? 'no other file uses this module-level name' : null,
    });
  }

  /** The scope in which a `global` or `nonlocal` name lives. */
  #homeOf(scope: Scope, node: number): Scope {
    const outer = this.#outer.get(scope)?.get(this.tree.text(node));
    return outer === 'global' ? this.builder.root : outer === 'nonlocal' ? (scope.parent ?? scope) : scope;
  }

  #function(node: number, scope: Scope): void {
    const { tree, builder } = this;
    this.#bind(scope, tree.childByField(node, 'name'), 'function');
    // Annotations see the type parameters, and not the parameters.
    const typed = builder.open(scope, 'types', node);
    this.#typeParameters(node, typed);
    const own = builder.open(typed, 'function', node);
    const body = tree.childByField(node, 'body');
    this.#outer.set(own, this.#outerNames(body));
    this.#parameters(
      tree.childByField(node, 'parameters'),
      { own, typed, outside: scope },
      tree.text(tree.childByField(node, 'name')),
    );
    this.#field(node, 'return_type', typed);
    if (body >= 0) this.all(body, own);
  }

  #class(node: number, scope: Scope): void {
    const { tree, builder } = this;
    this.#bind(scope, tree.childByField(node, 'name'), 'class');
    const typed = builder.open(scope, 'types', node);
    this.#typeParameters(node, typed);
    this.#field(node, 'superclasses', typed);
    const own = builder.open(typed, 'class', node);
    const body = tree.childByField(node, 'body');
    this.#outer.set(own, this.#outerNames(body));
    if (body >= 0) this.all(body, own);
  }

  #typeParameters(node: number, scope: Scope): void {
    const { tree, builder } = this;
    const list = tree.childByField(node, 'type_parameters');
    for (const child of list < 0 ? [] : tree.namedChildren(list)) {
      const [name] = tree.namedChildren(child);
      if (name !== undefined && tree.type(name) === 'identifier')
        builder.declare(scope, name, { kind: 'type parameter', space: BOTH });
      else builder.hazard(child, 'type parameters of this form are not understood');
    }
  }

  #typeAlias(node: number, scope: Scope): void {
    const { tree } = this;
    const left = tree.childByField(node, 'left');
    const [name] = left < 0 ? [] : tree.namedChildren(left);
    if (name !== undefined && tree.type(name) === 'identifier') this.#bind(scope, name, 'type');
    else this.builder.hazard(node, 'a generic type alias is not understood');
    this.#field(node, 'right', scope);
  }

  /** Defaults and annotations are evaluated outside. A method's parameters may be passed by name from anywhere. */
  #parameters(
    list: number,
    { own, typed, outside }: { readonly own: Scope; readonly typed: Scope; readonly outside: Scope },
    owner: string | null,
  ): void {
    const { tree, builder } = this;
    if (list < 0) return;
    const children = tree.namedChildren(list);
    const positional = children.findIndex((child) => tree.type(child) === 'positional_separator');
    for (const [index, child] of children.entries()) {
      const declare = (name: number): void => {
        if (name < 0) return;
        const splat = /splat/.test(tree.type(tree.parent(name)));
        builder.declare(own, name, {
          kind: splat || index < positional ? 'positional parameter' : 'parameter',
          space: BOTH,
          owner,
          assumed:
            owner !== null && !splat && index >= positional
              ? 'no call in another file, or under another name, passes it by name'
              : null,
        });
      };
      const type = tree.type(child);
      if (type === 'identifier') declare(child);
      else if (/^(list|dictionary)_splat_pattern$/.test(type)) declare(tree.namedChildren(child)[0] ?? -1);
      else if (type === 'tuple_pattern') this.#target(child, own, 'parameter');
      else {
        const first =
          tree.childByField(child, 'name') >= 0 ? tree.childByField(child, 'name') : (tree.namedChildren(child)[0] ?? -1);
        if (first >= 0 && tree.type(first).endsWith('splat_pattern')) declare(tree.namedChildren(first)[0] ?? -1);
        else if (first >= 0 && tree.type(first) === 'identifier') declare(first);
        this.#field(child, 'type', typed);
        this.#field(child, 'value', outside);
      }
    }
  }

  /** What the function declares to come from outside, without the functions in it. */
  #outerNames(body: number): Outer {
    const { tree } = this;
    const found = new Map<string, 'global' | 'nonlocal'>();
    if (body < 0) return found;
    for (let node = body; node < tree.after(body); node++) {
      const type = tree.type(node);
      if (node !== body && /^(function_definition|class_definition|lambda)$/.test(type)) node = tree.after(node) - 1;
      else if (type === 'global_statement' || type === 'nonlocal_statement') {
        for (const child of tree.namedChildren(node))
          found.set(tree.text(child), type === 'global_statement' ? 'global' : 'nonlocal');
      }
    }
    return found;
  }

  /** The first iterable is evaluated outside; all else sees the comprehension's names. */
  #comprehension(node: number, scope: Scope): void {
    const { tree, builder } = this;
    const own = builder.open(scope, 'comprehension', node);
    let first = true;
    for (const child of tree.namedChildren(node)) {
      if (tree.type(child) !== 'for_in_clause') continue;
      this.#target(tree.childByField(child, 'left'), own, 'variable');
      this.#field(child, 'right', first ? scope : own);
      first = false;
    }
    for (const child of tree.namedChildren(node)) if (tree.type(child) !== 'for_in_clause') this.visit(child, own);
  }

  #import(node: number, scope: Scope): void {
    const { tree, builder } = this;
    if (tree.type(node) === 'future_import_statement') return;
    const from = tree.type(node) === 'import_from_statement';
    for (const child of tree.namedChildren(node)) {
      if (tree.field(child) !== 'name') continue;
      if (tree.type(child) === 'aliased_import') {
        this.#bind(scope, tree.childByField(child, 'alias'), 'import');
        continue;
      }
      const [name, ...rest] = tree.namedChildren(child);
      if (name === undefined) continue;
      if (rest.length === 0) this.#bind(scope, name, 'import', 'as');
      else {
        // `import a.b` binds `a`, and `import a.b as x` would bind something else.
        if (!from) builder.hazard(child, '`import a.b` binds its first name', tree.text(name));
        this.#bind(scope, name, 'import');
      }
    }
  }

  /** A bare name captures, a dotted one is a value to compare with. */
  #casePattern(node: number, scope: Scope): void {
    const { tree } = this;
    for (const child of tree.namedChildren(node)) this.#captures(child, scope);
  }

  #captures(node: number, scope: Scope): void {
    const { tree } = this;
    switch (tree.type(node)) {
      case 'dotted_name': {
        const [name, ...rest] = tree.namedChildren(node);
        if (name === undefined) return;
        if (rest.length > 0) return this.visit(name, scope);
        return this.#bind(scope, name, 'variable');
      }
      case 'identifier':
        return this.#bind(scope, node, 'variable');
      case 'class_pattern': {
        const [name, ...rest] = tree.namedChildren(node);
        const [first] = name === undefined ? [] : tree.namedChildren(name);
        if (first !== undefined) this.visit(first, scope);
        for (const child of rest) this.#captures(child, scope);
        return;
      }
      case 'keyword_pattern':
        for (const child of tree.namedChildren(node).slice(1)) this.#captures(child, scope);
        return;
      case 'as_pattern': {
        const children = tree.namedChildren(node);
        for (const child of children) this.#captures(child, scope);
        return;
      }
      case 'case_pattern':
      case 'list_pattern':
      case 'tuple_pattern':
      case 'dict_pattern':
      case 'union_pattern':
      case 'splat_pattern':
        for (const child of tree.namedChildren(node)) this.#captures(child, scope);
        return;
      default:
        return this.visit(node, scope);
    }
  }

  /** `f(x=1)` names a parameter of `f`, whichever function that is. */
  #keyword(node: number): void {
    const { tree, builder } = this;
    const call = tree.parent(tree.parent(node));
    const called = tree.childByField(call, 'function');
    const type = called < 0 ? '' : tree.type(called);
    const name = type === 'attribute' ? tree.childByField(called, 'attribute') : called;
    const callee = type === 'identifier' || type === 'attribute' ? tree.text(name) : '';
    const keyword = tree.childByField(node, 'name');
    builder.hazard(keyword, 'a call passes it by name', keywordOf(tree.text(keyword), callee));
  }

  #call(node: number): void {
    const { tree, builder } = this;
    const called = tree.text(tree.childByField(node, 'function'));
    if (/^(eval|exec|globals|locals|vars)$/.test(called)) builder.hazard(node, `\`${called}\` may use any name that it can see`);
  }

  /** A quoted annotation names a type in a string. */
  #annotation(node: number): void {
    const { tree, builder } = this;
    for (let inner = node; inner < tree.after(node); inner++) {
      if (tree.type(inner) !== 'string_content') continue;
      for (const word of tree.text(inner).match(/[\p{L}_][\p{L}\p{N}_]*/gu) ?? [])
        builder.hazard(inner, 'a quoted annotation names it', word);
    }
  }
}
