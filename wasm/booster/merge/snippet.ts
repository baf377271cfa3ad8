import type { LanguageId } from '../languages.ts';
import type { Snapshot } from '../snapshot.ts';
import { weightOf } from './align-lines.ts';
import { type Context, isFailure, lineAt, Refusal } from './context.ts';
import { type Declaration, declarationsOf } from './declarations.ts';
import { MEMBER_SHELLS } from './edit-tree.ts';
import { atOriginalDepth, HIDDEN_MIN, itemsOf, mergeLines, withEdges } from './lazy.ts';
import { endsElsewhere, stopsShort } from './full.ts';
import { type Outcome, onlyOne } from './outcome.ts';
import { keepingEqual } from './places.ts';
import { commonIndent, indentOf, isBlank, type OutLine, reindent } from './text.ts';

/** One definition of the edit, with the comments and attributes over it. Lines are those of the edit. */
interface Definition {
  readonly declaration: Declaration;
  /** First line of what stands over it; `head` if there is nothing. */
  readonly lead: number;
  readonly head: number;
  readonly end: number;
  /** It parsed only within a class. */
  readonly isMember: boolean;
}

export function applySnippet(context: Context, edit: readonly string[]): Outcome {
  if (context.parsed.snapshot.errorCount > 0) throw new Refusal('does_not_parse', 'the original has syntax errors');
  const texts = edit.slice(
    edit.findIndex((text) => !isBlank(text)),
    edit.findLastIndex((text) => !isBlank(text)) + 1,
  );
  const byName = byDefinitions(context, texts);
  if (byName !== null) return { proved: byName, engine: 'tree' };
  return byLines(context, texts);
}

/** Replaces definitions by those of the same name; null if the snippet is something else than definitions. */
export function byDefinitions(context: Context, texts: readonly string[]): Outcome['proved'] | null {
  const definitions = parseDefinitions(context, texts);
  if (definitions === null) return null;
  const targets = definitions.map((definition) => targetsOf(context, texts, definition));
  const known = targets.filter((each) => each.length > 0).length;
  if (known === 0) throw new Refusal('not_found', `${definitions[0]?.declaration.name ?? 'it'} is not declared in the original`);
  if (known < targets.length) {
    const missing = definitions[targets.findIndex((each) => each.length === 0)];
    throw new Refusal('ambiguous', `${missing?.declaration.name ?? 'a definition'} is new, and nothing shows its place`);
  }
  const chosen = choose(context, definitions, targets);
  const lastChosen = chosen.at(-1);
  // No bracket shows where a definition ends: one that stops before its last old lines may have been cut off.
  if (context.language === 'python' && lastChosen !== undefined) {
    const body = context.source.slice(lastChosen.start, lastChosen.end).split('\n');
    const own = texts.slice(definitions.at(-1)?.head ?? 0);
    if (stopsShort(body, own) || (context.openEnd && stopsShort(body, own.slice(0, -1))) || endsElsewhere(body, own)) {
      throw new Refusal('ambiguous', `${lastChosen.name} stops before its end: are the last lines to go?`);
    }
  }
  const out: OutLine[] = [];
  let next = 0;
  const order = chosen.map((_, at) => at).toSorted((a, b) => (chosen[a]?.start ?? 0) - (chosen[b]?.start ?? 0));
  for (const at of order) {
    const [definition, target] = [definitions[at], chosen[at]];
    if (definition === undefined || target === undefined) continue;
    const { from, to, fresh } = replacement(context, texts, definition, target);
    if (from < next) throw new Refusal('ambiguous', 'one of the definitions stands within another');
    for (; next < from; next += 1) out.push(next);
    out.push(...keepingEqual(context.lines.texts, from, to, fresh));
    next = to;
  }
  for (; next < context.lines.texts.length; next += 1) out.push(next);
  const proved = context.proveLines(out, 'members');
  if (isFailure(proved)) throw new Refusal(proved.reason, proved.detail);
  return proved;
}

function parseDefinitions(context: Context, texts: readonly string[]): Definition[] | null {
  const whole = parseChunk(context, texts, 0);
  if (whole !== null) return whole;
  // Functions and methods side by side parse neither as a file nor as members: each must by itself.
  const found: Definition[] = [];
  for (let start = 0; start < texts.length;) {
    let end = start;
    let chunk: Definition[] | null = null;
    while (chunk === null && end < texts.length) {
      end += 1;
      while (end < texts.length && !isBlank(texts[end] ?? '')) end += 1;
      chunk = parseChunk(context, texts.slice(start, end), start);
      if (end - start > CHUNK_MAX_LINES) break;
    }
    if (chunk === null) {
      if (found.length > 0 && isUnclosed(context, texts.slice(start)))
        throw new Refusal('does_not_parse', 'the last definition of the edit has no end');
      return null;
    }
    found.push(...chunk);
    start = end;
  }
  return found;
}

/** Blocks within blocks that an answer which was cut off may leave open. */
const UNCLOSED_MAX = 6;

/** Whether closing brackets are all that a definition lacks. */
function isUnclosed(context: Context, texts: readonly string[]): boolean {
  if (texts.length > CHUNK_MAX_LINES) return false;
  const closed = [...texts];
  for (let blocks = 1; blocks <= UNCLOSED_MAX; blocks += 1) {
    closed.push('}');
    if (parseChunk(context, closed, 0) !== null) return true;
  }
  return false;
}

/** Lines after which a definition that does not parse yet is given up. */
const CHUNK_MAX_LINES = 400;

function parseChunk(context: Context, texts: readonly string[], line: number): Definition[] | null {
  const plain = reindent(texts, commonIndent(texts), '');
  const bare = context.parse(`${plain.join('\n')}\n`).snapshot;
  if (bare.errorCount === 0) return definitionsUnder(bare, 0, context.language, -line, false);
  const shell = MEMBER_SHELLS[context.language];
  if (shell === undefined) return null;
  const wrapped = context.parse(`${shell[0]}\n${plain.join('\n')}\n${shell[1]}\n`).snapshot;
  if (wrapped.errorCount > 0) return null;
  const body = wrapped.childByField(wrapped.namedChildren(0)[0] ?? 0, 'body');
  return body < 0 ? null : definitionsUnder(wrapped, body, context.language, 1 - line, true);
}

const isComment = (snapshot: Snapshot, node: number): boolean => snapshot.type(node).includes('comment');

/** What stands over a declaration as a node of its own. */
const isAttribute = (snapshot: Snapshot, node: number): boolean => /^(?:attribute_item|decorator)$/.test(snapshot.type(node));

/** The definitions directly under a node, if nothing else stands there. */
function definitionsUnder(
  snapshot: Snapshot,
  container: number,
  language: LanguageId,
  lineOffset: number,
  isMember: boolean,
): Definition[] | null {
  const byOuter = new Map<number, Declaration>();
  for (const declaration of declarationsOf(snapshot, language)) {
    if (!byOuter.has(declaration.outer)) byOuter.set(declaration.outer, declaration);
  }
  const lineOf = (offset: number): number => lineAt(snapshot.source, offset) - 1 - lineOffset;
  const found: Definition[] = [];
  let lead = -1;
  for (const child of snapshot.namedChildren(container)) {
    if (isComment(snapshot, child) || isAttribute(snapshot, child)) {
      // A comment behind a definition on its line belongs to it.
      if (found.length > 0 && lineOf(snapshot.start(child)) < (found.at(-1)?.end ?? 0)) continue;
      if (lead < 0) lead = lineOf(snapshot.start(child));
      continue;
    }
    const declaration = byOuter.get(child);
    if (declaration === undefined || declaration.key.startsWith('variable:')) return null;
    const head = lineOf(snapshot.start(child));
    found.push({ declaration, isMember, lead: lead < 0 ? head : lead, head, end: lineOf(snapshot.end(child) - 1) + 1 });
    lead = -1;
  }
  return found.length > 0 && lead < 0 ? found : null;
}

/** Declarations of the original a definition may be a new version of. */
function targetsOf(context: Context, texts: readonly string[], { declaration, isMember, head, end }: Definition): Declaration[] {
  const named = (matches: (key: string) => boolean): Declaration[] =>
    context.declarations.filter((other) => matches(other.key) && (!isMember || other.parent >= 0) && !isLocal(context, other));
  const exact = named((key) => key === declaration.key);
  const found = exact.length > 0 ? exact : named((key) => plainKey(key) === plainKey(declaration.key));
  if (found.length < 2) return found;
  // Of several with one name the one it shares its lines with, if it shares next to nothing with any other.
  const plain = texts.slice(head + 1, end).map((text) => text.trim());
  const telling = plain.filter((text) => weightOf(text) === 'plain');
  const shares = found.map((target) => {
    const body = context.source.slice(target.start, target.end).split('\n').slice(1);
    const there = new Set(body.map((text) => text.trim()));
    return telling.length === 0 ? 0 : telling.filter((text) => there.has(text)).length / telling.length;
  });
  const near = found.filter((_, at) => (shares[at] ?? 0) > SHARE_OF_OTHERS_MAX);
  return near.length === 1 && Math.max(...shares) >= SHARE_MIN ? near : found;
}

/** Share of its telling lines that a definition must have in common with the one it replaces, among several of its name. */
const SHARE_MIN = 0.5;
const SHARE_OF_OTHERS_MAX = 0.15;

const plainKey = (key: string): string => key.replace(/[!@(].*$/, '');

/** Functions in functions have no name outside. */
export function isLocal(context: Context, declaration: Declaration): boolean {
  for (let at = declaration.parent; at >= 0; at = context.declarations[at]?.parent ?? -1) {
    if (/^(?:function|method):/.test(context.declarations[at]?.key ?? '')) return true;
  }
  return false;
}

/** One target for each definition: the only one, or the only container that has them all. */
function choose(
  context: Context,
  definitions: readonly Definition[],
  targets: readonly (readonly Declaration[])[],
): Declaration[] {
  if (targets.every((each) => each.length === 1)) return targets.map((each) => each[0]).filter((each) => each !== undefined);
  const parents = new Set(targets.flatMap((each) => each.map(({ parent }) => parent)));
  const whole = [...parents].filter((parent) =>
    targets.every((each) => each.filter((other) => other.parent === parent).length === 1),
  );
  const [parent] = whole;
  if (whole.length === 1 && parent !== undefined && definitions.length > 1) {
    return targets.map((each) => each.find((other) => other.parent === parent)).filter((each) => each !== undefined);
  }
  const several = targets.find((each) => each.length > 1) ?? [];
  throw new Refusal(
    'ambiguous',
    `${definitions[targets.indexOf(several)]?.declaration.name ?? 'it'} is declared ${several.length} times`,
    several.slice(0, 5).map(({ start, path }) => ({ line: lineAt(context.source, start), text: path })),
  );
}

/** The lines a definition replaces, and its own at their depth. */
function replacement(
  context: Context,
  texts: readonly string[],
  definition: Definition,
  target: Declaration,
): { readonly from: number; readonly to: number; readonly fresh: readonly string[] } {
  const snapshot = context.parsed.snapshot;
  const old = context.lines.texts;
  const head = lineAt(context.source, target.start) - 1;
  const to = lineAt(context.source, target.end - 1);
  const starts = context.lines.starts;
  const before = context.source.slice(starts[head] ?? 0, target.start);
  const after = context.source.slice(target.end, (starts[to] ?? 0) - (context.lines.eols[to - 1] ?? '').length);
  if (before.trim() !== '' || !/^[;,\s]*(?:\/\/.*|#.*|\/\*.*\*\/)?$/.test(after)) {
    throw new Refusal('unsupported', `${target.name} shares its lines with other code`);
  }
  const lead = leadLines(snapshot, context, target);
  const ownLead = texts.slice(definition.lead, definition.head);
  // At the depth of the line it replaces, or as it is written: where the file's own indent is odd, the lines decide.
  const here = new Set(old.slice(lead.from, to).map((text) => text.trimEnd()));
  const own = texts.slice(definition.lead, definition.end);
  const moved = (lines: readonly string[]): string[] => {
    const deeper = reindent(own, indentOf(texts[definition.head] ?? ''), indentOf(old[head] ?? ''));
    const held = (some: readonly string[]): number => some.filter((text) => !isBlank(text) && here.has(text.trimEnd())).length;
    return held(own) > held(deeper)
      ? [...lines]
      : reindent(lines, indentOf(texts[definition.head] ?? ''), indentOf(old[head] ?? ''));
  };
  const body = moved(texts.slice(definition.head, definition.end));
  guardWrapping(context, target, definition, texts);
  if (ownLead.every(isBlank)) return { from: head, to, fresh: body };
  // What stands over the definition goes where something of its kind stood; docs that the edit leaves out stay.
  const keepsDocs = lead.docs.length > 0 && !ownLead.some((text) => /^\s*(?:\/\/|\/\*|\*|#(?!\[))/.test(text));
  return { from: lead.from, to, fresh: [...(keepsDocs ? lead.docs : []), ...moved(ownLead), ...body] };
}

/** The lines of comments and attributes directly over a declaration. */
function leadLines(
  snapshot: Snapshot,
  context: Context,
  target: Declaration,
): { readonly from: number; readonly docs: readonly string[] } {
  const head = lineAt(context.source, target.start) - 1;
  let from = head;
  const docs: string[] = [];
  const siblings = snapshot.children(snapshot.parent(target.outer));
  for (let at = siblings.indexOf(target.outer) - 1; at >= 0; at -= 1) {
    const node = siblings[at] ?? 0;
    if (!isComment(snapshot, node) && !isAttribute(snapshot, node)) break;
    const first = lineAt(context.source, snapshot.start(node)) - 1;
    const last = lineAt(context.source, snapshot.end(node) - 1) - 1;
    // A blank line parts them, and a comment behind other code is not over anything.
    if (
      last !== from - 1 ||
      (context.lines.texts[first] ?? '').slice(0, snapshot.start(node) - (context.lines.starts[first] ?? 0)).trim() !== ''
    )
      break;
    from = first;
    if (isComment(snapshot, node)) docs.unshift(...context.lines.texts.slice(first, last + 1));
  }
  return { from, docs };
}

/** A definition that comes without the `export` or the decorators of the old one: left out, or taken away? */
function guardWrapping(context: Context, target: Declaration, definition: Definition, texts: readonly string[]): void {
  const snapshot = context.parsed.snapshot;
  const kind = snapshot.type(target.outer);
  if (target.outer === target.node) return;
  const head = texts[definition.head] ?? '';
  if (kind === 'decorated_definition' && !/^\s*@/.test(head)) {
    throw new Refusal('ambiguous', `${target.name} has decorators that the edit does not show`);
  }
  if (kind === 'export_statement' && !/^\s*(?:export|@)/.test(head)) {
    throw new Refusal('ambiguous', `${target.name} is exported, and the edit does not show it`);
  }
}

/** A snippet that is no list of definitions: its lines must say where it belongs. */
function byLines(context: Context, edit: readonly string[]): Outcome {
  const texts = atOriginalDepth(edit, context.prepared);
  const items = itemsOf(texts, context.language, () => true);
  const edged = withEdges(items, context.prepared);
  const merge = mergeLines(context.prepared, edged);
  if (merge === null) throw new Refusal('not_found', 'the edit has no place in the original');
  if (merge.crowded) throw new Refusal('ambiguous', 'the edit fits the original in many places');
  // Nobody leaves out two lines without saying so: they may be the ones to go.
  const isFew = (hidden: number): boolean => hidden > 0 && hidden < HIDDEN_MIN;
  if (merge.readings.some(({ hiddenBefore, hiddenAfter }) => isFew(hiddenBefore) || isFew(hiddenAfter)))
    throw new Refusal('ambiguous', 'the edit leaves out no more than a few lines of the file');
  const first = edged.findIndex((item) => item.kind === 'line' && weightOf(item.text) === 'plain');
  if (merge.readings.some(({ fresh, hiddenBefore }) => hiddenBefore > 0 && fresh.has(first)))
    throw new Refusal('ambiguous', 'the edit begins with new lines, and nothing shows what stands before them');
  // What begins as the file does and stops before its end may be the whole file, without what follows.
  if (merge.readings.some(({ hiddenBefore, hiddenAfter }) => hiddenBefore === 0 && hiddenAfter > 0)) {
    throw new Refusal('ambiguous', 'the edit begins where the file begins, and does not say what becomes of its end');
  }
  // Brackets at the end of an answer that was cut off close anything.
  if (merge.readings.some(({ faintCutAfter }) => faintCutAfter > 0)) {
    throw new Refusal('ambiguous', 'lines would go at the end of the edit, and nothing behind them is shown');
  }
  const shown = texts.filter((text) => !isBlank(text)).length;
  const evidence = merge.readings[0]?.evidence ?? 0;
  if (evidence < SNIPPET_EVIDENCE_MIN || evidence < shown * SNIPPET_EVIDENCE_SHARE) {
    throw new Refusal('not_found', 'the edit shares too little with the original');
  }
  return {
    proved: onlyOne(
      context,
      merge.readings.map((reading) => context.proveLines(reading.out, 'members')),
    ),
    engine: 'lines',
  };
}

const SNIPPET_EVIDENCE_MIN = 2;
const SNIPPET_EVIDENCE_SHARE = 0.25;
