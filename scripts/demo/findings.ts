import type { ReviewResult } from '../../examples/analysers/review.ts';
import type { SizeResult } from '../../examples/analysers/size.ts';
import type { SyntaxResult } from '../../examples/analysers/syntax.ts';
import type { Task } from '../../client/src/types.ts';

/** What the agents found out, put together from the results of all tasks. */
export interface Findings {
  readonly lines: { readonly total: number; readonly code: number; readonly comment: number; readonly blank: number };
  readonly largest: readonly { readonly path: string; readonly lines: number; readonly bytes: number }[];
  readonly mostComplex: readonly { readonly path: string; readonly branches: number; readonly maxNesting: number }[];
  readonly longestFunctions: readonly {
    readonly path: string;
    readonly line: number;
    readonly name: string;
    readonly lines: number;
  }[];
  readonly syntaxErrors: readonly {
    readonly path: string;
    readonly line: number;
    readonly column: number;
    readonly message: string;
  }[];
  /** Files that no parser was there for, by language; they are neither good nor bad. */
  readonly notChecked: Readonly<Record<string, number>>;
  readonly filesChecked: number;
  readonly duplicates: readonly {
    readonly path: string;
    readonly duplicateLines: number;
    readonly longest: { readonly firstLine: number; readonly againLine: number; readonly lines: number };
  }[];
  readonly packages: readonly { readonly name: string; readonly files: number }[];
}

const TOP = 5;
const ERRORS_MAX = 20;

/** `pool` says which analysis a result is; a result that is none was complained of elsewhere and is left out here. */
export function findingsOf(tasks: Iterable<Task>): Findings {
  const done = [...tasks].filter((task) => task.status === 'succeeded');
  const of = <T>(pool: string): T[] =>
    done.filter((task) => task.pool === pool && typeof task.result === 'object').map((task) => task.result as T);
  const syntax = of<SyntaxResult>('tester');
  const sizes = of<SizeResult>('analyst');
  const reviews = of<ReviewResult>('reviewer');
  return {
    lines: {
      total: sum(sizes, ({ lines }) => lines.total),
      code: sum(sizes, ({ lines }) => lines.code),
      comment: sum(sizes, ({ lines }) => lines.comment),
      blank: sum(sizes, ({ lines }) => lines.blank),
    },
    largest: top(sizes, ({ lines }) => lines.total).map(({ path, lines, bytes }) => ({ path, lines: lines.total, bytes })),
    mostComplex: top(sizes, ({ branches }) => branches).map(({ path, branches, maxNesting }) => ({ path, branches, maxNesting })),
    longestFunctions: top(
      sizes.flatMap(({ path, longestFunction }) => (longestFunction === null ? [] : { path, ...longestFunction })),
      ({ lines }) => lines,
    ),
    syntaxErrors: syntax.flatMap(({ path, errors }) => errors.map((error) => ({ path, ...error }))).slice(0, ERRORS_MAX),
    notChecked: count(syntax.filter(({ checked }) => !checked).map(({ language }) => language)),
    filesChecked: syntax.filter(({ checked }) => checked).length,
    duplicates: top(reviews, ({ duplicateLines }) => duplicateLines).map(({ path, duplicateLines, duplicates }) => {
      const longest = duplicates.reduce((a, b) => (b.lines > a.lines ? b : a), { firstLine: 0, againLine: 0, lines: 0 });
      return { path, duplicateLines, longest };
    }),
    packages: top(
      Object.entries(count(reviews.flatMap(({ imports }) => imports.packages))).map(([name, files]) => ({ name, files })),
      ({ files }) => files,
    ),
  };
}

const sum = <T>(items: readonly T[], of: (item: T) => number): number => items.reduce((total, item) => total + of(item), 0);

/** The largest first, those with nothing to show left out. */
const top = <T>(items: readonly T[], by: (item: T) => number): T[] =>
  items
    .filter((item) => by(item) > 0)
    .toSorted((a, b) => by(b) - by(a))
    .slice(0, TOP);

function count(names: readonly string[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return Object.fromEntries(counts);
}
