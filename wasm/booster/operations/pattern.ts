import type { Session } from '../engine.ts';
import type { LanguageId } from '../languages.ts';
import type { Snapshot } from '../snapshot.ts';
import { Positions } from './positions.ts';
import { parsedOrRefuse, refuse } from './result.ts';

/** A piece of a pattern or template: text, or a metavariable. */
export type Segment = string | Metavariable;

export interface Metavariable {
  /** Empty for `$_` and `$$$`, which may stand for something else each time. */
  readonly name: string;
  /** `$$$X`: any number of nodes. */
  readonly many: boolean;
  /** Where it stands in the text that names it. */
  readonly offset: number;
}

/** A pattern as a tree: what it matches is one node like `roots[0]`, or siblings like all of them. */
export interface Pattern {
  readonly tree: Snapshot;
  readonly roots: readonly number[];
  /** By the identifier that stands for it in the tree. */
  readonly variables: ReadonlyMap<string, Metavariable>;
  readonly names: ReadonlyMap<string, Metavariable>;
}

export const PATTERN_MAX_LENGTH = 16_384;

/** What has to stand round a piece of code for the grammar to take it; tried in this order. */
const WRAPPERS: Partial<Readonly<Record<LanguageId, readonly (readonly [before: string, after: string])[]>>> = {
  javascript: ecmaWrappers(),
  typescript: [...ecmaWrappers(), ['type Q = ', '']],
  tsx: [...ecmaWrappers(), ['type Q = ', '']],
  python: [
    ['', ''],
    ['(', ')'],
    ['match q:\n    ', ''],
  ],
  go: [
    ['package q\nfunc q() {\n', '\n}\n'],
    ['package q\n', '\n'],
    ['', '\n'],
    ['package q\nvar q ', '\n'],
    ['package q\ntype q struct {\n', '\n}\n'],
  ],
  rust: [
    ['fn q() {\n', '\n}\n'],
    ['', ''],
    ['impl Q {\n', '\n}\n'],
    ['type Q = ', ';'],
    ['fn q() { match q {\n', '\n} }'],
    ['struct Q {\n', '\n}\n'],
  ],
  java: [
    ['class Q { void q() {\n', '\n} }'],
    ['class Q { Object q =\n', '\n; }'],
    ['class Q { void q() {\n', ';\n} }'],
    ['class Q {\n', '\n}'],
    ['', ''],
    ['class Q { ', ' q; }'],
  ],
};

function ecmaWrappers(): readonly (readonly [string, string])[] {
  return [
    ['', ''],
    ['(', ')'],
    ['class Q {\n', '\n}'],
    ['switch (0) {\n', '\n}'],
    ['({\n', '\n})'],
  ];
}

export const supportsPatterns = (language: LanguageId): boolean => WRAPPERS[language] !== undefined;

/** Splits a pattern or template at its metavariables: a dollar and capitals, so that `$el` stays JavaScript. */
export function segmentsOf(text: string): readonly Segment[] {
  const segments: Segment[] = [];
  let from = 0;
  for (const found of text.matchAll(/(\$\$\$|\$)(?:([A-Z][A-Z0-9_]*)|(_[A-Z0-9_]*))?(?![A-Za-z0-9_$])/g)) {
    const many = found[1] === '$$$';
    if (!many && found[2] === undefined && found[3] === undefined) continue;
    // A dollar inside a longer name is part of it.
    if (/[\w$]/.test(text.charAt(found.index - 1))) continue;
    if (found.index > from) segments.push(text.slice(from, found.index));
    segments.push({ name: found[2] ?? '', many, offset: found.index });
    from = found.index + found[0].length;
  }
  if (from < text.length) segments.push(text.slice(from));
  return segments;
}

/** Parses a pattern, or ends the operation with why it is none. */
export function compilePattern(session: Session, language: LanguageId, text: string): readonly Pattern[] {
  const wrappers = WRAPPERS[language];
  if (wrappers === undefined) return refuse('unsupported', `no structural patterns for ${language}`);
  const source = text.trim();
  if (source === '') refuse('empty', 'the pattern is empty');
  if (source.length > PATTERN_MAX_LENGTH) refuse('too_large', `a pattern has at most ${PATTERN_MAX_LENGTH} characters`);
  const variables = new Map<string, Metavariable>();
  const names = new Map<string, Metavariable>();
  const stem = freeStem(source);
  let code = '';
  for (const segment of segmentsOf(source)) {
    if (typeof segment === 'string') {
      code += segment;
      continue;
    }
    const known = names.get(segment.name);
    if (known !== undefined && known.many !== segment.many) {
      refuse('ambiguous', `${segment.name} is one node and many in one pattern`, {
        at: new Positions(source).at(segment.offset),
      });
    }
    const identifier = `${stem}${variables.size}z`;
    variables.set(identifier, segment);
    if (segment.name !== '') names.set(segment.name, segment);
    code += identifier;
  }
  const found: Pattern[] = [];
  let problem: { offset: number } | null = null;
  for (const [before, after] of orderFor(language, source, wrappers)) {
    const parsed = parsedOrRefuse(session.parse(language, before + code + after));
    const tree = parsed.snapshot;
    if (tree.errorCount > 0) {
      problem ??= { offset: Math.max(0, Math.min(code.length, tree.start(tree.errors()[0] ?? 0) - before.length)) };
      continue;
    }
    const roots = rootsIn(tree, before.length, before.length + code.length);
    if (roots === null) continue;
    const first = roots[0] ?? 0;
    if (roots.length === 1 && variables.has(tree.text(first))) {
      refuse('ambiguous', 'a pattern that is nothing but a metavariable matches everything');
    }
    if (!found.some((other) => other.tree.type(other.roots[0] ?? 0) === tree.type(first)))
      found.push({ tree, roots, variables, names });
    // Java writes a field and a local alike: such a pattern means both.
    if (language !== 'java' || !/^(local_variable|field)_declaration$/.test(tree.type(first))) break;
  }
  if (found.length > 0) return found;
  return refuse('does_not_parse', `the pattern is not ${language} code by itself`, {
    ...(problem !== null && { at: new Positions(code).at(problem.offset) }),
  });
}

/** An object reads as a block where a statement may stand; who writes braces alone means the object. */
function orderFor(
  language: LanguageId,
  source: string,
  wrappers: readonly (readonly [string, string])[],
): readonly (readonly [string, string])[] {
  if (!source.startsWith('{') || !/^(javascript|typescript|tsx)$/.test(language)) return wrappers;
  return [['(', ')'], ...wrappers];
}

/** An identifier that the pattern does not hold. */
function freeStem(source: string): string {
  let stem = 'mvq';
  while (source.includes(stem)) stem += 'q';
  return stem;
}

/** The nodes that make up exactly this stretch, or null if it cuts through one. */
function rootsIn(tree: Snapshot, start: number, end: number): readonly number[] | null {
  const cover = tree.nodeAt(start, end);
  if (tree.start(cover) === start && tree.end(cover) === end && cover !== 0) return [cover];
  const roots = tree
    .children(cover)
    .filter((child) => tree.start(child) >= start && tree.end(child) <= end && tree.end(child) > tree.start(child));
  const [first, last] = [roots[0], roots.at(-1)];
  if (first === undefined || last === undefined || tree.start(first) !== start || tree.end(last) !== end) return null;
  // The wrapper's own braces and the like are outside; nothing may reach across the edge.
  const crosses = tree
    .children(cover)
    .some((child) => tree.start(child) < end && tree.end(child) > start && !roots.includes(child));
  if (crosses) return null;
  const named = roots.filter((root) => !/comment/.test(tree.type(root)));
  return named.length === 0 ? null : named;
}
