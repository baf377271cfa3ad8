import type { Query } from 'web-tree-sitter';
import { isFault, type Engine, type Parsed } from '../engine.ts';
import { Positions, type Range } from './positions.ts';
import { refuse } from './result.ts';

export interface QueryCapture extends Range {
  readonly name: string;
  /** Type of the captured node. */
  readonly type: string;
  readonly text: string;
}

export interface QueryMatch {
  /** Which pattern of the query, from 0. */
  readonly pattern: number;
  readonly captures: readonly QueryCapture[];
}

export interface QueryReport {
  readonly language: string;
  readonly matches: readonly QueryMatch[];
  /** There are more than `QUERY_MATCHES_MAX` matches, or more than tree-sitter holds at one time. */
  readonly truncated: boolean;
}

/** Bounds of one query. Captured text is given out, so matches bound the answer, too. */
export const QUERY_MAX_LENGTH = 16_384;
export const QUERY_MATCHES_MAX = 2_000;
export const QUERY_TEXT_MAX = 1_000_000;
/** Matches that tree-sitter follows at one time; beyond it, it drops the oldest. */
const QUERY_OPEN_MATCHES_MAX = 4_096;
/** Progress callbacks of one query; 100 KB of code with an ordinary query need fewer than a thousand. */
const QUERY_BUDGET_CALLBACKS = 50_000;

/** Runs a query in tree-sitter's language over the whole source. */
export function runQuery(engine: Engine, parsed: Parsed, source: string): QueryReport {
  if (source.trim() === '') refuse('empty', 'the query is empty');
  if (source.length > QUERY_MAX_LENGTH) refuse('too_large', `a query has at most ${QUERY_MAX_LENGTH} characters`);
  const query = compile(engine, parsed, source);
  let left = QUERY_BUDGET_CALLBACKS;
  const found = query.matches(parsed.tree.rootNode, {
    matchLimit: QUERY_OPEN_MATCHES_MAX,
    // Answering true stops it; the declared type does not say so.
    progressCallback: () => --left < 0,
  });
  if (left < 0) refuse('budget', 'the query took more steps than one task may');
  const positions = new Positions(parsed.source);
  const matches: QueryMatch[] = [];
  let text = 0;
  for (const match of found) {
    const captures = match.captures.map(({ name, node }): QueryCapture => {
      text += node.endIndex - node.startIndex;
      return {
        name,
        type: node.type,
        text: parsed.source.slice(node.startIndex, node.endIndex),
        ...positions.range(node.startIndex, node.endIndex),
      };
    });
    if (matches.length >= QUERY_MATCHES_MAX || text > QUERY_TEXT_MAX)
      return { language: parsed.language, matches, truncated: true };
    matches.push({ pattern: match.patternIndex, captures });
  }
  return { language: parsed.language, matches, truncated: query.didExceedMatchLimit() };
}

function compile(engine: Engine, parsed: Parsed, source: string): Query {
  const unsafe = unsafeRegex(source);
  if (unsafe !== null) {
    refuse('budget', `'${unsafe.slice(0, 80)}' could take exponential time: no quantifier inside a quantified group, please`, {
      at: new Positions(source).at(source.indexOf(unsafe)),
    });
  }
  try {
    return engine.query(parsed.language, source);
  } catch (error) {
    if (!(error instanceof Error) || isFault(error)) throw error;
    // QueryError is the instance's own class, so it is known by its index.
    const index = (error as { index?: unknown }).index;
    return refuse('does_not_parse', error.message, {
      ...(typeof index === 'number' && { at: new Positions(source).at(Math.min(index, source.length)) }),
    });
  }
}

/** How many unbounded quantifiers a predicate's regular expression may have: each can cost a factor of the text's length. */
const REGEX_QUANTIFIERS_MAX = 3;

/**
 * The first regular expression of a `#match?` predicate that could backtrack without end. JavaScript's engine has no bound
 * of its own, so a group that repeats without bound may hold neither a repetition nor a choice.
 */
export function unsafeRegex(query: string): string | null {
  for (const predicate of query.matchAll(/#(?:any-)?(?:not-)?match\?\s+@[\w.-]+\s+("(?:[^"\\]|\\.)*"|[^\s()]+)/g)) {
    const quoted = predicate[1] ?? '';
    const regex = quoted.startsWith('"') ? quoted.slice(1, -1).replaceAll(/\\(["\\])/g, '$1') : quoted;
    if (mayExplode(regex)) return quoted;
  }
  return null;
}

function mayExplode(regex: string): boolean {
  if (/\\[1-9k]/.test(regex)) return true;
  // For each open group: whether it holds a repetition or a choice.
  const groups: boolean[] = [false];
  let quantifiers = 0;
  for (let at = 0; at < regex.length; at++) {
    const character = regex.charAt(at);
    if (character === '\\') at++;
    else if (character === '[') {
      for (at++; at < regex.length && regex.charAt(at) !== ']'; at++) if (regex.charAt(at) === '\\') at++;
    } else if (character === '(') groups.push(false);
    else if (character === '|') groups[groups.length - 1] = true;
    else if (character === ')') {
      const repeats = groups.pop() ?? false;
      if (repeats && /^(?:[*+]|\{\d+,\d*\})/.test(regex.slice(at + 1))) return true;
      if (repeats && groups.length > 0) groups[groups.length - 1] = true;
    } else if (/^(?:[*+]|\{\d+,\d*\})/.test(regex.slice(at))) {
      groups[groups.length - 1] = true;
      if (++quantifiers > REGEX_QUANTIFIERS_MAX) return true;
    }
  }
  return false;
}
