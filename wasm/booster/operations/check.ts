import type { Node } from 'web-tree-sitter';
import type { Engine, Parsed } from '../engine.ts';
import type { Snapshot } from '../snapshot.ts';
import { Positions, type Range } from './positions.ts';

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
  const nodes = tree.errorCount === 0 ? [] : tree.errors();
  const errors = nodes.slice(0, PROBLEMS_MAX).map((node) => problemOf(engine, parsed, node, positions));
  return { language: parsed.language, valid: nodes.length === 0, errors, errorCount: nodes.length };
}

function problemOf(engine: Engine, parsed: Parsed, node: number, positions: Positions): SyntaxProblem {
  const tree = parsed.snapshot;
  const range = positions.range(tree.start(node), tree.end(node));
  if (tree.isMissing(node)) {
    const name = tree.isNamed(node) ? tree.type(node).replaceAll('_', ' ') : `'${tree.type(node)}'`;
    return { kind: 'missing', message: `${name} is missing`, text: '', expected: [tree.type(node)], ...range };
  }
  const at = firstUnexpected(tree, node);
  const text = clip(parsed.source.slice(at, Math.max(at, tree.end(node))));
  const expected = expectedAt(engine, parsed, at);
  return {
    kind: 'unexpected',
    message: text === '' ? 'the source ends too early' : `unexpected '${firstWord(text)}'`,
    text,
    ...(expected.length > 0 && { expected }),
    ...positions.range(at, Math.max(at, tree.end(node))),
  };
}

/**
 * Where an ERROR node's trouble begins: often it begins with code that was good until something else came, and then its
 * first stretch that no child covers is the culprit; without one, its start.
 */
function firstUnexpected(tree: Snapshot, node: number): number {
  let at = tree.start(node);
  for (const child of tree.children(node)) {
    const gap = tree.source.slice(at, tree.start(child));
    if (gap.trim() !== '') return at + (gap.length - gap.trimStart().length);
    at = tree.end(child);
  }
  const rest = tree.source.slice(at, tree.end(node));
  return rest.trim() === '' ? tree.start(node) : at + (rest.length - rest.trimStart().length);
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
