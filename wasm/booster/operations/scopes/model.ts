import type { Snapshot } from '../../snapshot.ts';
import { refuse } from '../result.ts';

/** Names of values and names of types live apart in some languages; a class is both. */
export const VALUE = 1;
export const TYPE = 2;
export const BOTH = 3;
/** Java's methods have names of their own. */
export const METHOD = 4;
/** A set of these as bits. */
export type Space = number;

export interface Scope {
  readonly parent: Scope | null;
  readonly kind: string;
  readonly start: number;
  readonly end: number;
  readonly bindings: Map<string, Binding[]>;
}

/** One declared thing; all of its declarations if it has several. */
export interface Binding {
  readonly id: number;
  readonly name: string;
  readonly kind: string;
  space: Space;
  readonly scope: Scope;
  /** Seen only from here on; the scope's start where declarations are hoisted. */
  readonly visibleFrom: number;
  /** Why code outside this file can see it under this name; then it must keep it. */
  exported: string | null;
  /** Why its uses cannot be found by name alone. */
  blocked: string | null;
  /** What a rename takes for granted, although nothing in the file speaks against it. */
  assumed: string | null;
  /** The function a parameter belongs to, in a language where calls may name parameters. */
  readonly owner: string | null;
}

/**
 * How an occurrence is written, which says what a new name makes of it: `{ x }` becomes `{ x: y }`, `import { x }` becomes
 * `import { x as y }`, and a JSX tag must keep its capital.
 */
export type Form = 'plain' | 'shorthand' | 'as' | 'jsx';

/** One place where a name stands. */
export interface Occurrence {
  readonly start: number;
  readonly end: number;
  readonly name: string;
  /** The innermost scope it stands in; of a hoisted declaration not the one it declares in. */
  readonly scope: Scope;
  readonly space: Space;
  readonly form: Form;
  /** What it declares or refers to; null for what the file does not declare. */
  binding: Binding | null;
}

/** A place that makes names in it uncertain. */
export interface Hazard {
  /** Which name; null for any. */
  readonly name: string | null;
  readonly start: number;
  readonly end: number;
  readonly reason: string;
  /** Says nothing about parameters and local variables. */
  readonly localsExempt: boolean;
  /** Concerns only what a script declares as properties of the global object: top-level `var` and functions. */
  readonly globalsOnly: boolean;
  /** Where the name is looked up: the hazard is for what it means there only. Null: for everything of that name. */
  readonly scope: Scope | null;
}

export interface ScopeModel {
  readonly bindings: readonly Binding[];
  /** In document order. */
  readonly occurrences: readonly Occurrence[];
  readonly hazards: readonly Hazard[];
}

interface DeclareOptions {
  readonly kind: string;
  readonly space?: Space;
  readonly form?: Form;
  readonly visibleFrom?: number;
  readonly exported?: string | null;
  readonly blocked?: string | null;
  readonly assumed?: string | null;
  readonly owner?: string | null;
  /** Where the declaration stands, if its name is hoisted out of there. */
  readonly from?: Scope;
  /** A declaration of the same name in the same scope is another thing (Rust's `let`). */
  readonly shadows?: boolean;
}

/** Deeper code is not written by hand, and the analysers recurse. */
const DEPTH_MAX = 600;

/** Collects the scopes, declarations and references of one tree; references are resolved when all is seen. */
export class ScopeBuilder {
  readonly #bindings: Binding[] = [];
  readonly #occurrences: Occurrence[] = [];
  readonly #hazards: Hazard[] = [];
  #depth = 0;

  readonly tree: Snapshot;
  readonly root: Scope;

  constructor(tree: Snapshot) {
    this.tree = tree;
    this.root = this.open(null, 'module', 0);
  }

  open(parent: Scope | null, kind: string, node: number): Scope {
    return { parent, kind, start: this.tree.start(node), end: this.tree.end(node), bindings: new Map() };
  }

  /** Runs `visit` for a node, with a bound on how deep it goes. */
  nested(visit: () => void): void {
    if (++this.#depth > DEPTH_MAX) refuse('too_large', 'the code is nested too deep');
    visit();
    this.#depth--;
  }

  /** Declares the name that `node` spells. */
  declare(scope: Scope, node: number, options: DeclareOptions): Binding {
    const name = this.tree.text(node);
    return this.declareName(scope, { name, start: this.tree.start(node), end: this.tree.end(node) }, options);
  }

  declareName(
    scope: Scope,
    { name, start, end }: { readonly name: string; readonly start: number; readonly end: number },
    { kind, space = VALUE, form = 'plain', shadows = false, ...rest }: DeclareOptions,
  ): Binding {
    const visibleFrom = rest.visibleFrom ?? scope.start;
    const known = scope.bindings.get(name) ?? [];
    // TypeScript merges an interface with a class, and a function's overloads with one another.
    let binding = shadows ? undefined : known.find((one) => (one.space & space) !== 0);
    if (binding === undefined) {
      binding = {
        id: this.#bindings.length,
        name,
        kind,
        space,
        scope,
        visibleFrom,
        exported: null,
        blocked: null,
        assumed: null,
        owner: rest.owner ?? null,
      };
      this.#bindings.push(binding);
      scope.bindings.set(name, [...known, binding]);
    }
    binding.space |= space;
    binding.exported ??= rest.exported ?? null;
    binding.blocked ??= rest.blocked ?? null;
    binding.assumed ??= rest.assumed ?? null;
    this.#occurrences.push({ start, end, name, scope: rest.from ?? scope, space, form, binding });
    return binding;
  }

  /** A name that is bound without being written, such as Go's of an import path. */
  declareUnwritten(scope: Scope, name: string, reason: string): void {
    const binding: Binding = {
      id: this.#bindings.length,
      name,
      kind: 'import',
      space: BOTH | METHOD,
      scope,
      visibleFrom: scope.start,
      exported: null,
      blocked: reason,
      assumed: null,
      owner: null,
    };
    this.#bindings.push(binding);
    scope.bindings.set(name, [...(scope.bindings.get(name) ?? []), binding]);
  }

  /** A use of the name that `node` spells. */
  reference(scope: Scope, node: number, space: Space = VALUE, form: Form = 'plain'): void {
    this.referenceName(
      scope,
      { name: this.tree.text(node), start: this.tree.start(node), end: this.tree.end(node) },
      space,
      form,
    );
  }

  referenceName(
    scope: Scope,
    { name, start, end }: { readonly name: string; readonly start: number; readonly end: number },
    space: Space = VALUE,
    form: Form = 'plain',
  ): void {
    this.#occurrences.push({ start, end, name, scope, space, form, binding: null });
  }

  hazard(
    node: number,
    reason: string,
    name: string | null = null,
    {
      localsExempt = false,
      globalsOnly = false,
      scope = null,
    }: { readonly localsExempt?: boolean; readonly globalsOnly?: boolean; readonly scope?: Scope | null } = {},
  ): void {
    this.#hazards.push({
      name,
      start: this.tree.start(node),
      end: this.tree.end(node),
      reason,
      localsExempt,
      globalsOnly,
      scope,
    });
  }

  /** Resolves every reference. */
  finish(sees: Sees = () => true): ScopeModel {
    for (const occurrence of this.#occurrences) {
      occurrence.binding ??= lookUp(occurrence.scope, occurrence.name, occurrence.space, occurrence.start, sees);
    }
    return {
      bindings: this.#bindings,
      occurrences: this.#occurrences.toSorted((a, b) => a.start - b.start),
      hazards: this.#hazards,
    };
  }
}

/** Whether code in a scope sees what is declared in an outer one. */
export type Sees = (from: Scope, binding: Binding) => boolean;

const LOCALS = /^(?:parameter|positional parameter|variable|let|const|var|catch|pattern variable)$/;

/** A parameter or local variable, in a language that says so by the kind. */
export const isLocal = (binding: Binding): boolean => LOCALS.test(binding.kind) && binding.scope.parent !== null;

/** The declaration that a name means at a place, or null. */
export function lookUp(from: Scope, name: string, space: Space, offset: number, sees: Sees = () => true): Binding | null {
  for (let scope: Scope | null = from; scope !== null; scope = scope.parent) {
    const found = scope.bindings
      .get(name)
      ?.findLast((one) => (one.space & space) !== 0 && one.visibleFrom <= offset && (scope === from || sees(from, one)));
    if (found !== undefined) return found;
  }
  return null;
}

/** Whether `inner` is `outer` or stands in it. */
export function isWithin(inner: Scope, outer: Scope): boolean {
  for (let scope: Scope | null = inner; scope !== null; scope = scope.parent) if (scope === outer) return true;
  return false;
}
