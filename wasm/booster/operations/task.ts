/**
 * What the booster is asked and what it answers, as plain types: the schemas that check a request are the caller's, because
 * this folder imports nothing of ours. A task that reaches `runOperation` has the fields its operation needs, of these types.
 */

/** A place in a text: both from 1, the column in UTF-16 units, as editors show them. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

interface Named {
  /** An id or alias of `languages.ts`; before `path`, whose extension says it otherwise. */
  readonly language?: string | undefined;
  readonly path?: string | undefined;
}

export interface ApplyTask extends Named {
  readonly operation: 'apply';
  readonly original: string;
  readonly edit: string;
  readonly style?: string | undefined;
}

export interface OutlineTask extends Named {
  readonly operation: 'outline';
  readonly original: string;
}

export interface CheckTask extends Named {
  readonly operation: 'check';
  readonly original: string;
}

export interface MetricsTask extends Named {
  readonly operation: 'metrics';
  readonly original: string;
}

export interface QueryTask extends Named {
  readonly operation: 'query';
  readonly original: string;
  /** Patterns in tree-sitter's query language. */
  readonly query: string;
}

export interface SearchTask extends Named {
  readonly operation: 'search';
  readonly original: string;
  /** Code with `$X` for one node, `$$$X` for any number of them, `$_` and `$$$` for those without a name. */
  readonly pattern: string;
}

export interface RewriteTask extends Named {
  readonly operation: 'rewrite';
  readonly original: string;
  readonly pattern: string;
  /** What takes the place of each match; may name what the pattern named. Empty deletes the match. */
  readonly rewrite: string;
}

export interface RenameTask extends Named {
  readonly operation: 'rename';
  readonly original: string;
  /** Where one of its occurrences stands; a number is an offset from 0 in UTF-16 units. Without it, `symbol` must be the name of one symbol only. */
  readonly position?: Position | number | undefined;
  /** The name it has now; with a `position` and no `rewrite`, the new one. */
  readonly symbol?: string | undefined;
  /** The new name. */
  readonly rewrite?: string | undefined;
}

/** One import by its parts; `names` of the form `a` or `a as b`. */
export interface ImportParts {
  readonly module: string;
  readonly names?: readonly string[] | undefined;
  /** JavaScript and TypeScript: the local name of the default export. */
  readonly default?: string | undefined;
  /** The local name of the whole module: `import * as n`, Python's `import m as n`, Go's `n "m"`, Rust's `use m as n`. */
  readonly namespace?: string | undefined;
  /** TypeScript: `import type`. */
  readonly typeOnly?: boolean | undefined;
  /** Java: `import static`. */
  readonly static?: boolean | undefined;
}

export interface ImportChanges {
  /** Statements of the language, or parts. */
  readonly add?: readonly (string | ImportParts)[] | undefined;
  /** As `add`; a bare name removes the import that binds it. */
  readonly remove?: readonly (string | ImportParts)[] | undefined;
  readonly sort?: boolean | undefined;
  readonly dedupe?: boolean | undefined;
}

export interface ImportsTask extends Named {
  readonly operation: 'imports';
  readonly original: string;
  readonly imports: ImportChanges;
}

export interface DiffTask extends Named {
  readonly operation: 'diff';
  readonly original: string;
  /** The new text. */
  readonly edit: string;
}

export const SCAFFOLD_KINDS = ['function', 'class', 'interface', 'test', 'http-handler', 'cli'] as const;
export type ScaffoldKind = (typeof SCAFFOLD_KINDS)[number];

export interface ScaffoldParameter {
  readonly name: string;
  readonly type?: string | undefined;
}

export interface ScaffoldTemplate {
  readonly kind: string;
  /** In any style (`parse config`, `parseConfig`, `parse_config`); written as the language writes such a name. */
  readonly name: string;
  readonly parameters?: readonly ScaffoldParameter[] | undefined;
  readonly returns?: string | undefined;
  /** Becomes the doc comment. */
  readonly description?: string | undefined;
}

export interface ScaffoldTask extends Named {
  readonly operation: 'scaffold';
  readonly template: ScaffoldTemplate;
}

export type BoosterTask =
  | ApplyTask
  | OutlineTask
  | CheckTask
  | MetricsTask
  | QueryTask
  | SearchTask
  | RewriteTask
  | RenameTask
  | ImportsTask
  | DiffTask
  | ScaffoldTask;

export type BoosterOperation = BoosterTask['operation'];
/** The operations of this folder; `apply` is the merge engine's. */
export type SyntaxTask = Exclude<BoosterTask, ApplyTask>;

export const BOOSTER_REASONS = [
  'ambiguous',
  'not_found',
  'stale',
  'does_not_parse',
  'proof_failed',
  'unsupported',
  'too_large',
  'budget',
  'empty',
  'not_code',
] as const;
export type BoosterReason = (typeof BOOSTER_REASONS)[number];

/** One of several things that could have been meant. */
export interface Candidate extends Position {
  readonly text: string;
  readonly detail?: string;
}

export interface BoosterSuccess<Output> {
  readonly ok: true;
  readonly output: Output;
  /** What made it. */
  readonly engine: string;
  /** What was checked of a changed text before it was given out. */
  readonly proofs: readonly string[];
  /** What the answer takes for granted and cannot see. */
  readonly assumed?: readonly string[];
  /** Places left alone that may want a human eye, such as a renamed word in a string. */
  readonly reported?: readonly Candidate[];
  /** How many places were changed or found. */
  readonly count?: number;
}

export interface BoosterRefusal {
  readonly ok: false;
  readonly reason: BoosterReason;
  readonly detail: string;
  readonly candidates?: readonly Candidate[];
  /** Where in the source, query or pattern it went wrong. */
  readonly at?: Position;
}

export type BoosterResult<Output = unknown> = BoosterSuccess<Output> | BoosterRefusal;
