import type { Node } from 'web-tree-sitter';
import type { Engine, Parsed } from '../engine.ts';
import type { Snapshot } from '../snapshot.ts';
import { Positions, type Range } from './positions.ts';
import { emptyBlocks } from './proofs.ts';

export interface SyntaxProblem extends Range {
  /** `missing`: something had to stand here; `unexpected`: what stands here fits nothing. */
  readonly kind: 'missing' | 'unexpected';
  readonly message: string;
  /** The source at the place, at most `PROBLEM_TEXT_MAX` units of it. */
  readonly text: string;
  /** What could have stood here, where the grammar says so; not complete. */
  readonly expected?: readonly string[];
}

export interface CheckReport {
  readonly language: string;
  readonly valid: boolean;
  /** In document order, at most `PROBLEMS_MAX`. */
  readonly errors: readonly SyntaxProblem[];
  readonly errorCount: number;
}

export const PROBLEMS_MAX = 100;
export const PROBLEM_TEXT_MAX = 80;
/** More than this is not a hint any more. */
const EXPECTED_MAX = 12;

/** The syntax errors of a source. A tree-sitter grammar takes a little more than its language does, so "valid" means: parses. */
export function check(engine: Engine, parsed: Parsed): CheckReport {
  const tree = parsed.snapshot;
  const positions = new Positions(parsed.source);
  const nodes = [...(tree.errorCount === 0 ? [] : tree.errors()), ...emptyBlocks(tree)].toSorted((a, b) => a - b);
  const errors = nodes.slice(0, PROBLEMS_MAX).map((node) => problemOf(engine, parsed, node, positions));
  return { language: parsed.language, valid: nodes.length === 0, errors, errorCount: nodes.length };
}

function problemOf(engine: Engine, parsed: Parsed, node: number, positions: Positions): SyntaxProblem {
  const tree = parsed.snapshot;
  const range = positions.range(tree.start(node), tree.end(node));
  if (tree.type(node) === 'block' && !tree.isError(node)) {
    return {
      kind: 'missing',
      message: 'an indented block is missing',
      text: '',
      ...positions.range(tree.start(node), tree.start(node)),
    };
  }
  if (tree.isMissing(node)) {
    const name = tree.isNamed(node) ? tree.type(node).replaceAll('_', ' ') : `'${tree.type(node)}'`;
    return { kind: 'missing', message: `${name} is missing`, text: '', expected: [tree.type(node)], ...range };
  }
  const culprit = culpritOf(tree, node);
  const at = culprit ?? tree.start(node);
  const end = Math.max(at, tree.end(node));
  const text = clip(parsed.source.slice(at, end));
  // Without a culprit the code was good until it broke off.
  const expected = expectedAt(engine, parsed, culprit ?? tree.end(node)).filter((one) => !text.startsWith(one));
  const message =
    text === ''
      ? 'the source ends too early'
      : culprit === null
        ? `'${text}' is incomplete or misplaced`
        : `unexpected '${firstWord(text)}'`;
  return { kind: 'unexpected', message, text, ...(expected.length > 0 && { expected }), ...positions.range(at, end) };
}

/**
 * Where in an ERROR node the trouble is: the first stretch that no child covers, or its only token. Null when all of it
 * was understood, and what had to follow did not.
 */
function culpritOf(tree: Snapshot, node: number): number | null {
  let at = tree.start(node);
  const children = tree.children(node);
  for (const child of children) {
    const gap = tree.source.slice(at, tree.start(child));
    if (gap.trim() !== '') return at + (gap.length - gap.trimStart().length);
    at = tree.end(child);
  }
  const rest = tree.source.slice(at, tree.end(node));
  if (rest.trim() !== '') return at + (rest.length - rest.trimStart().length);
  return children.length > 1 ? null : tree.start(node);
}

/** What the parser could have taken after the token before `at`. Punctuation and words only: node names help nobody. */
function expectedAt(engine: Engine, parsed: Parsed, at: number): readonly string[] {
  let before = at - 1;
  while (before >= 0 && /\s/.test(parsed.source.charAt(before))) before--;
  if (before < 0) return [];
  const leaf: Node | null = parsed.tree.rootNode.descendantForIndex(before, before);
  if (leaf === null || leaf.childCount > 0 || leaf.isError) return [];
  const iterator = engine.grammar(parsed.language).language.lookaheadIterator(leaf.nextParseState);
  if (iterator === null) return [];
  try {
    const found = new Set<string>();
    for (const type of iterator) if (/^[^\p{L}\s_]{1,3}$|^[a-z]{2,12}$/u.test(type) && !NAMES.has(type)) found.add(type);
    return found.size > EXPECTED_MAX ? [] : [...found].toSorted();
  } finally {
    iterator.delete();
  }
}

/** Types of nodes that look like words. */
const NAMES = new Set(['comment', 'identifier', 'string', 'number', 'integer', 'float', 'word', 'end', 'text', 'name', 'regex']);

function clip(text: string): string {
  const line = text.split('\n', 1)[0] ?? '';
  const short = (line.trim() === '' ? text.trim() : line.trimEnd()).slice(0, PROBLEM_TEXT_MAX);
  // Half of a surrogate pair is no text.
  return /[\ud800-\udbff]$/.test(short) ? short.slice(0, -1) : short;
}

const firstWord = (text: string): string => /^(?:[\p{L}\p{N}_$]+|[^\s])/u.exec(text)?.[0] ?? text;
