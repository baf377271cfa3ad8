import type { Parsed, Session } from '../engine.ts';
import type { Snapshot } from '../snapshot.ts';
import { findMatches, type Capture, type StructureMatch } from './match.ts';
import { compilePattern } from './pattern.ts';
import { Positions, type Range } from './positions.ts';

export interface CapturedCode extends Range {
  readonly text: string;
}

export interface SearchMatch extends CapturedCode {
  /** By the metavariable's name; `$$$X` gives a list. */
  readonly variables: Readonly<Record<string, CapturedCode | readonly CapturedCode[]>>;
}

export interface SearchReport {
  readonly language: string;
  readonly matches: readonly SearchMatch[];
  readonly truncated: boolean;
}

export const SEARCH_MATCHES_MAX = 2_000;

/** Every place that has the structure of the pattern, in document order, outer before inner. */
export function search(session: Session, parsed: Parsed, pattern: string): SearchReport {
  const found = matchesOf(session, parsed, pattern, SEARCH_MATCHES_MAX + 1);
  const positions = new Positions(parsed.source);
  const matches = found.slice(0, SEARCH_MATCHES_MAX).map((match): SearchMatch => ({
    text: parsed.source.slice(match.start, match.end),
    variables: Object.fromEntries(
      [...match.captures].map(([name, capture]) => [name, capturedCode(parsed.snapshot, positions, capture)]),
    ),
    ...positions.range(match.start, match.end),
  }));
  return { language: parsed.language, matches, truncated: found.length > SEARCH_MATCHES_MAX };
}

/** The matches of all readings of a pattern. */
export function matchesOf(session: Session, parsed: Parsed, pattern: string, max: number): readonly StructureMatch[] {
  const found = compilePattern(session, parsed.language, pattern).flatMap((one) => findMatches(parsed.snapshot, one, max));
  return found.toSorted((a, b) => a.start - b.start || b.end - a.end).slice(0, max);
}

function capturedCode(tree: Snapshot, positions: Positions, capture: Capture): CapturedCode | readonly CapturedCode[] {
  const codes = capture.nodes.map((node): CapturedCode => ({
    text: tree.text(node),
    ...positions.range(tree.start(node), tree.end(node)),
  }));
  const [first] = codes;
  return capture.many || first === undefined ? codes : first;
}
