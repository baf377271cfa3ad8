import type { Parsed } from '../engine.ts';
import type { Snapshot } from '../snapshot.ts';
import { metricsTable, type MetricsTable } from './metrics-table.ts';
import { Positions, utf8Length, type Range } from './positions.ts';

export interface FunctionMetrics extends Range {
  /** Empty for a function without a name of its own. */
  readonly name: string;
  readonly lines: number;
  /** Cyclomatic: 1 and 1 for each decision in its own body; functions inside it count for themselves. */
  readonly complexity: number;
  /** The deepest nesting of branches and loops in its own body. */
  readonly nesting: number;
  readonly parameters: number;
}

export interface Metrics {
  readonly language: string;
  readonly bytes: number;
  readonly lines: { readonly total: number; readonly code: number; readonly comment: number; readonly blank: number };
  /** Comment lines of all that are not blank, from 0 to 1, rounded to four places; a line with code and comment is both. */
  readonly commentRatio: number;
  readonly functionCount: number;
  /** In document order, at most `METRICS_FUNCTIONS_MAX`. */
  readonly functions: readonly FunctionMetrics[];
  /** Decisions outside functions, plus the complexity of each function. */
  readonly complexity: number;
  readonly maxComplexity: number;
  readonly maxNesting: number;
  readonly errorCount: number;
}

export const METRICS_FUNCTIONS_MAX = 2_000;

interface Frame {
  readonly node: number;
  complexity: number;
  depth: number;
  nesting: number;
}

/** Size, nesting and cyclomatic complexity; docs/booster.md has the rule of each language. */
export function metrics(parsed: Parsed): Metrics {
  const tree = parsed.snapshot;
  const table = metricsTable(parsed.language);
  const positions = new Positions(parsed.source);
  const file: Frame = { node: 0, complexity: 0, depth: 0, nesting: 0 };
  const frames: Frame[] = [];
  const open: { after: number; leave: () => void }[] = [];
  let frame = file;
  for (let node = 0; node < tree.count; node++) {
    for (let last = open.at(-1); last !== undefined && last.after <= node; last = open.at(-1)) {
      open.pop();
      last.leave();
    }
    if (!tree.isNamed(node)) continue;
    const type = tree.type(node);
    if (table.functions.has(type)) {
      const outer = frame;
      frame = { node, complexity: 1, depth: 0, nesting: 0 };
      frames.push(frame);
      open.push({ after: tree.after(node), leave: () => (frame = outer) });
      continue;
    }
    frame.complexity += table.decisions(tree, node, type);
    if (table.nests.has(type) && !table.flat(tree, node)) {
      const inside = frame;
      inside.depth++;
      inside.nesting = Math.max(inside.nesting, inside.depth);
      open.push({ after: tree.after(node), leave: () => inside.depth-- });
    }
  }
  const functions = frames.map((one) => functionMetrics(tree, one, table, positions));
  const lines = linesOf(parsed);
  const written = lines.total - lines.blank;
  return {
    language: parsed.language,
    bytes: utf8Length(parsed.source),
    lines,
    commentRatio: written === 0 ? 0 : Math.round((lines.comment / written) * 10_000) / 10_000,
    functionCount: functions.length,
    functions: functions.slice(0, METRICS_FUNCTIONS_MAX),
    complexity: functions.reduce((sum, one) => sum + one.complexity, file.complexity),
    maxComplexity: functions.reduce((most, one) => Math.max(most, one.complexity), 0),
    maxNesting: functions.reduce((most, one) => Math.max(most, one.nesting), file.nesting),
    errorCount: tree.errorCount,
  };
}

function functionMetrics(tree: Snapshot, frame: Frame, table: MetricsTable, positions: Positions): FunctionMetrics {
  const { node } = frame;
  const range = positions.range(tree.start(node), tree.end(node));
  return {
    name: table.nameOf(tree, node),
    lines: range.end.line - range.start.line + 1,
    complexity: frame.complexity,
    nesting: frame.nesting,
    parameters: table.parametersOf(tree, node),
    ...range,
  };
}

/** A line is blank, or has code, or comment, or both. Text of a comment that spans lines is comment on each of them. */
function linesOf({ source, snapshot: tree }: Parsed): Metrics['lines'] {
  const total = source === '' ? 0 : source.split('\n').length - (source.endsWith('\n') ? 1 : 0);
  const hasCode = new Uint8Array(total + 1);
  const hasComment = new Uint8Array(total + 1);
  let line = 0;
  let at = 0;
  const mark = (from: number, to: number, lines: Uint8Array): void => {
    // Nodes come in document order, so the line only ever moves on.
    for (let end = source.indexOf('\n', at); end >= 0 && end < from; end = source.indexOf('\n', at)) {
      line++;
      at = end + 1;
    }
    let current = line;
    let start = from;
    while (start < to) {
      const end = source.indexOf('\n', start);
      const stop = end < 0 ? to : Math.min(end, to);
      if (source.slice(start, stop).trim() !== '') lines[current] = 1;
      if (end < 0 || end >= to) break;
      start = end + 1;
      current++;
    }
  };
  for (let node = 0; node < tree.count; node++) {
    const comment = /comment/.test(tree.type(node)) && tree.isNamed(node);
    if (comment) {
      mark(tree.start(node), tree.end(node), hasComment);
      node = tree.after(node) - 1;
    } else if (tree.after(node) === node + 1) mark(tree.start(node), tree.end(node), hasCode);
  }
  const count = (lines: Uint8Array): number => lines.reduce((sum, one) => sum + one, 0);
  let blank = 0;
  const texts = source.split('\n');
  for (let index = 0; index < total; index++) {
    if ((texts[index] ?? '').trim() === '') blank++;
    else if (hasCode[index] === 0 && hasComment[index] === 0) hasCode[index] = 1;
  }
  return { total, code: count(hasCode), comment: count(hasComment), blank };
}
