import type { Parsed, Session, Splice } from '../engine.ts';
import type { LanguageId } from '../languages.ts';
import type { Snapshot } from '../snapshot.ts';
import { isName } from './names.ts';
import { Positions } from './positions.ts';
import { PROOF, sameSkeleton, type Stretch } from './proofs.ts';
import { parsedOrRefuse, refuse, success } from './result.ts';
import { analyseScopes } from './scopes/analyse.ts';
import { DERIVED } from './scopes/java.ts';
import { type Binding, isLocal, isWithin, lookUp, type Occurrence, type ScopeModel } from './scopes/model.ts';
import { meansParameter } from './scopes/python.ts';
import type { BoosterResult, Candidate, RenameTask } from './task.ts';

/** Places in strings and comments that are told of. */
const REPORTED_MAX = 100;
const CANDIDATES_MAX = 20;

/**
 * Renames one declared symbol everywhere in the file and nothing else. The proof is that every name refers to the same
 * declaration before and after; where a use may be hidden from the file, it is refused.
 */
export function rename(session: Session, parsed: Parsed, task: RenameTask): BoosterResult<string> {
  const model = analyseScopes(parsed.snapshot);
  if (model === null) return refuse('unsupported', `no scope analysis for ${parsed.language}`);
  if (parsed.snapshot.errorCount > 0)
    refuse('does_not_parse', 'the original has syntax errors, so its scopes are not known', firstError(parsed));
  const target = targetOf(parsed, model, task);
  const name = newNameOf(parsed.language, task, target.name);
  if (name === target.name) return success(parsed.source, [PROOF.idempotent], { count: 0 });
  refuseUnsure(parsed, model, target, name);
  const uses = model.occurrences.filter((one) => one.binding === target);
  const splices = uses.map((one): Splice => ({ start: one.start, end: one.end, text: spelled(one, name) }));
  const source = spliced(parsed.source, splices);
  // From the start: a reparse may hang a comment at another depth, which would look like another structure.
  const after = parsedOrRefuse(session.parse(parsed.language, source));
  prove(parsed, after, model, splices);
  return success(
    source,
    [PROOF.parses, PROOF.structure, PROOF.references, PROOF.declarations, PROOF.noDuplicates, PROOF.untouched],
    {
      count: uses.length,
      assumed: target.assumed === null ? [] : [target.assumed],
      reported: mentions(parsed, target),
    },
  );
}

/** The symbol at the position, or the only one of the name. */
function targetOf(parsed: Parsed, model: ScopeModel, { position, symbol, rewrite }: RenameTask): Binding {
  const positions = new Positions(parsed.source);
  const current = rewrite === undefined && position !== undefined ? undefined : symbol;
  if (position === undefined) {
    if (current === undefined) return refuse('empty', 'name the symbol or a position');
    const found = model.bindings.filter((one) => one.name === current || one.name === `#${current}`);
    const [only, second] = found;
    if (only === undefined) return refuse('not_found', `nothing in the file declares '${current}'`);
    if (second === undefined) return only;
    return refuse('ambiguous', `${found.length} symbols have this name; give a position`, {
      candidates: candidates(parsed, model, found, positions),
    });
  }
  const offset = typeof position === 'number' ? position : positions.offsetOf(position);
  if (offset === null || offset < 0 || offset > parsed.source.length) return refuse('not_found', 'the file has no such position');
  // A cursor behind the last letter of a name is still at the name.
  const at =
    model.occurrences.find((one) => one.start <= offset && offset < one.end) ??
    model.occurrences.find((one) => one.end === offset);
  if (at === undefined) return nothingAt(parsed, offset, current, positions);
  if (current !== undefined && at.name !== current && at.name !== `#${current}`) {
    return refuse('stale', `at the position stands '${at.name}', not '${current}'`, { at: positions.at(at.start) });
  }
  return at.binding ?? refuse('ambiguous', `'${at.name}' is not declared in this file`, { at: positions.at(at.start) });
}

function nothingAt(parsed: Parsed, offset: number, current: string | undefined, positions: Positions): never {
  const tree = parsed.snapshot;
  const node = tree.nodeAt(offset, offset);
  const at = positions.at(offset);
  if (!/identifier|name/.test(tree.type(node)))
    return refuse(current === undefined ? 'not_found' : 'stale', 'no name stands at the position', { at });
  return refuse(
    'ambiguous',
    `'${tree.text(node).slice(0, 80)}' is a property, field or label: its uses depend on more than scopes`,
    { at },
  );
}

function candidates(parsed: Parsed, model: ScopeModel, found: readonly Binding[], positions: Positions): readonly Candidate[] {
  return found.slice(0, CANDIDATES_MAX).map((binding): Candidate => {
    const first = model.occurrences.find((one) => one.binding === binding);
    return {
      ...positions.at(first?.start ?? binding.scope.start),
      text: lineAt(parsed.source, first?.start ?? 0),
      detail: binding.kind,
    };
  });
}

function newNameOf(language: LanguageId, { position, symbol, rewrite }: RenameTask, current: string): string {
  const given = rewrite ?? (position === undefined ? undefined : symbol);
  if (given === undefined || given === '') return refuse('empty', 'the new name is missing');
  const isPrivate = current.startsWith('#');
  const bare = isPrivate && given.startsWith('#') ? given.slice(1) : given;
  if (!isName(language, bare)) return refuse('not_code', `'${given.slice(0, 80)}' cannot be a name in ${language}`);
  return isPrivate ? `#${bare}` : bare;
}

/** Everything that speaks against it before a letter is changed. */
function refuseUnsure(parsed: Parsed, model: ScopeModel, target: Binding, name: string): void {
  const positions = new Positions(parsed.source);
  const unsure = (reason: string, offset?: number): never =>
    refuse('ambiguous', `'${target.name}': ${reason}`, {
      ...(offset !== undefined && { candidates: [{ ...positions.at(offset), text: lineAt(parsed.source, offset) }] }),
    });
  if (target.blocked !== null) unsure(target.blocked);
  if (target.exported !== null) unsure(`${target.exported}, so other files may use it`);
  for (const hazard of model.hazards) {
    if (target.kind === 'parameter' && hazard.name !== null && meansParameter(hazard.name, target.name, target.owner)) {
      unsure(hazard.reason, hazard.start);
    }
    if (hazard.start < target.scope.start || hazard.end > target.scope.end) continue;
    if (hazard.globalsOnly && (target.scope.parent !== null || !/^(var|function)$/.test(target.kind))) continue;
    if (hazard.localsExempt && (isLocal(target) || target.kind === 'import')) continue;
    if (hazard.name === null || matches(hazard, target)) unsure(hazard.reason, hazard.start);
    if (hazard.name === name && !hazard.localsExempt) unsure(`the new name is in doubt: ${hazard.reason}`, hazard.start);
  }
  const meaning = changesMeaning(parsed.language, model, target, name);
  if (meaning !== null) unsure(meaning);
  const collision = collisionOf(parsed.language, model, target, name);
  if (collision !== null) {
    refuse('ambiguous', `'${name}' is taken: ${collision.why}`, {
      candidates: [{ ...positions.at(collision.offset), text: lineAt(parsed.source, collision.offset) }],
    });
  }
}

function matches(hazard: ScopeModel['hazards'][number], target: Binding): boolean {
  if (hazard.name === null) return true;
  if (hazard.name !== target.name) return false;
  return (
    hazard.scope === null ||
    [1, 2, 4].some((space) => hazard.scope !== null && lookUp(hazard.scope, target.name, space, hazard.start) === target)
  );
}

/** Names whose spelling says what they are. */
function changesMeaning(language: LanguageId, model: ScopeModel, target: Binding, name: string): string | null {
  const capital = (text: string): boolean => /^\p{Lu}/u.test(text);
  const uses = model.occurrences.filter((one) => one.binding === target);
  if (uses.some((one) => one.form === 'jsx') && !capital(name)) return 'a tag with a small letter is an element of the page';
  if (language === 'go' && target.scope.parent === null && capital(name)) return 'a capital would export it';
  if (language === 'rust' && isLocal(target) && capital(name)) return 'a pattern with a capital is a constant, not a variable';
  if (language === 'python' && [target.name, name].some((one) => one.startsWith('__') && !one.endsWith('__'))) {
    return 'Python changes names with two underscores inside classes';
  }
  if (target.kind === 'block function') {
    const loose = model.occurrences.find((one) => one.name === target.name && one.binding === null);
    if (loose !== undefined) return 'a function in a block may be seen outside it';
  }
  if (target.kind === 'pattern variable') {
    const other = model.bindings.find((one) => one !== target && one.name === target.name);
    if (other !== undefined) return 'how far a pattern variable reaches depends on the flow of the code';
  }
  if (language === 'java') {
    for (const one of uses) {
      for (let scope = one.scope; scope !== target.scope && scope.parent !== null; scope = scope.parent) {
        if (scope.kind === DERIVED) return 'a class between it and its use may inherit the name';
      }
    }
  }
  return null;
}

interface Collision {
  readonly offset: number;
  readonly why: string;
}

/** A declaration or use of the new name that would mix with the renamed symbol. */
function collisionOf(language: LanguageId, model: ScopeModel, target: Binding, name: string): Collision | null {
  const uses = model.occurrences.filter((one) => one.binding === target);
  const others = model.occurrences.filter((one) => one.name === name);
  for (const binding of model.bindings) {
    if (binding.name !== name || (binding.space & target.space) === 0) continue;
    // A new `let` of Rust hides the one before it; the proof finds out whether it hides it from a use.
    if (language === 'rust' && isLocal(binding) && isLocal(target) && binding.visibleFrom !== target.visibleFrom) continue;
    const offset = others.find((one) => one.binding === binding)?.start ?? binding.scope.start;
    if (binding.scope === target.scope || shareBlock(binding, target)) return { offset, why: 'it is declared in the same scope' };
    const hides = (one: Occurrence): boolean =>
      isWithin(one.scope, binding.scope) &&
      isWithin(binding.scope, target.scope) &&
      // Functions in a Python class do not see its names.
      (language !== 'python' || binding.scope.kind !== 'class' || one.scope === binding.scope);
    if (uses.some(hides)) {
      return { offset, why: 'it is declared between the symbol and one of its uses' };
    }
    if (
      language === 'java' &&
      isLocal(binding) &&
      isLocal(target) &&
      (isWithin(binding.scope, target.scope) || isWithin(target.scope, binding.scope))
    ) {
      return { offset, why: 'a local variable cannot hide another one' };
    }
  }
  for (const one of others) {
    if ((one.space & target.space) === 0 || !isWithin(one.scope, target.scope) || one.start < target.visibleFrom) continue;
    if (one.binding === null || !isWithin(one.binding.scope, target.scope))
      return { offset: one.start, why: 'it is used in the scope of the symbol' };
  }
  return null;
}

/** Parameters and the body they belong to are two scopes that cannot declare one name. */
function shareBlock(a: Binding, b: Binding): boolean {
  const joined = (outer: Binding, inner: Binding): boolean =>
    /^(parameters|catch)$/.test(outer.scope.kind) &&
    inner.scope.parent === outer.scope &&
    /^(function|block)$/.test(inner.scope.kind);
  return joined(a, b) || joined(b, a);
}

function spelled({ name, form }: Occurrence, newName: string): string {
  if (form === 'shorthand') return `${name}: ${newName}`;
  return form === 'as' ? `${name} as ${newName}` : newName;
}

export function spliced(source: string, splices: readonly Splice[]): string {
  let text = '';
  let at = 0;
  for (const splice of splices) {
    text += source.slice(at, splice.start) + splice.text;
    at = splice.end;
  }
  return text + source.slice(at);
}

function prove(before: Parsed, after: Parsed, model: ScopeModel, splices: readonly Splice[]): void {
  if (after.snapshot.errorCount > 0) refuse('proof_failed', 'the result does not parse', firstError(after));
  if (!sameSkeleton(before.snapshot, after.snapshot, stretchesOf(before.snapshot, splices))) {
    refuse('proof_failed', 'the result has another structure');
  }
  const again = analyseScopes(after.snapshot);
  if (again === null || !sameReferences(model, again)) refuse('proof_failed', 'a name would refer to something else afterwards');
}

/** The changed stretches, widened to whole nodes: a name in a format string is part of one. */
function stretchesOf(tree: Snapshot, splices: readonly Splice[]): readonly Stretch[] {
  const found: { start: number; end: number; oldStart: number; oldEnd: number }[] = [];
  let shift = 0;
  for (const { start, end, text } of splices) {
    let whole = tree.nodeAt(start, end);
    // `{ a = 1 }` and `{ a: z = 1 }` nest differently.
    if (tree.type(tree.parent(whole)) === 'object_assignment_pattern') whole = tree.parent(whole);
    const [oldStart, oldEnd] = [tree.start(whole), tree.end(whole)];
    const grown = text.length - (end - start);
    const last = found.at(-1);
    if (last !== undefined && start < last.oldEnd) last.end += grown;
    else found.push({ oldStart, oldEnd, start: oldStart + shift, end: oldEnd + shift + grown });
    shift += grown;
  }
  return found;
}

/**
 * Both files have the same names in the same order, and the same ones of them mean the same thing: so none was captured,
 * and no two declarations became one.
 */
export function sameReferences(before: ScopeModel, after: ScopeModel): boolean {
  if (before.occurrences.length !== after.occurrences.length) return false;
  const forth = new Map<number, number>();
  const back = new Map<number, number>();
  return before.occurrences.every((one, index) => {
    const other = after.occurrences[index];
    if (other === undefined) return false;
    if (one.binding === null || other.binding === null) return one.binding === other.binding && one.name === other.name;
    const [known, origin] = [forth.get(one.binding.id), back.get(other.binding.id)];
    if (known === undefined && origin === undefined) {
      forth.set(one.binding.id, other.binding.id);
      back.set(other.binding.id, one.binding.id);
      return true;
    }
    return known === other.binding.id && origin === one.binding.id;
  });
}

/** The old name as a word in strings and comments of its scope. */
function mentions(parsed: Parsed, target: Binding): readonly Candidate[] {
  const tree = parsed.snapshot;
  const positions = new Positions(parsed.source);
  const found: Candidate[] = [];
  const bare = target.name.replace(/^#/, '');
  for (let node = 0; node < tree.count && found.length < REPORTED_MAX; node++) {
    const type = tree.type(node);
    const comment = /comment/.test(type) && tree.isNamed(node);
    if (!comment && !(tree.after(node) === node + 1 && /string|char|template|content|fragment|text/.test(type))) continue;
    if (tree.end(node) < target.scope.start || tree.start(node) > target.scope.end) continue;
    const text = tree.text(node);
    for (let at = text.indexOf(bare); at >= 0 && found.length < REPORTED_MAX; at = text.indexOf(bare, at + bare.length)) {
      if (isWordAt(text, at, bare.length)) {
        const offset = tree.start(node) + at;
        found.push({ ...positions.at(offset), text: lineAt(parsed.source, offset), detail: comment ? 'comment' : 'string' });
      }
    }
    node = tree.after(node) - 1;
  }
  return found;
}

const WORD = /[\p{L}\p{N}_$]/u;
const isWordAt = (text: string, at: number, length: number): boolean =>
  !WORD.test(text.charAt(at - 1)) && !WORD.test(text.charAt(at + length));

function firstError(parsed: Parsed): { at?: { line: number; column: number } } {
  const [first] = parsed.snapshot.errors();
  return first === undefined ? {} : { at: new Positions(parsed.source).at(parsed.snapshot.start(first)) };
}

const LINE_MAX = 160;

function lineAt(source: string, offset: number): string {
  const start = source.lastIndexOf('\n', offset - 1) + 1;
  const end = source.indexOf('\n', offset);
  return source
    .slice(start, end < 0 ? source.length : end)
    .trim()
    .slice(0, LINE_MAX);
}
