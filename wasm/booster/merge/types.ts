import type { LanguageId } from '../languages.ts';

/** How an edit says what it wants. `lazy` elides unchanged code with markers; `snippet` is whole definitions without any. */
export const EDIT_STYLES = ['lazy', 'snippet', 'search_replace', 'unified_diff', 'full'] as const;
export type EditStyle = (typeof EDIT_STYLES)[number];

/** Why nothing was applied. None of these is a fault: the original is untouched and an agent may try. */
export type RefusalReason =
  /** More than one place or result fits. */
  | 'ambiguous'
  /** What the edit refers to is not in the original. */
  | 'not_found'
  /** The edit was made for another version of the original. */
  | 'stale'
  /** The original, the edit or every result has syntax errors. */
  | 'does_not_parse'
  /** There is one result, and it breaks a rule: a declaration would be lost, a duplicate or a marker would appear, … */
  | 'proof_failed'
  /** No such language or style here. */
  | 'unsupported'
  | 'too_large'
  /** Parsing took more callbacks than allowed. */
  | 'budget'
  /** The edit is empty. */
  | 'empty'
  /** The edit is prose, or holds nothing but markers. */
  | 'not_code';

export interface ApplyRequest {
  readonly original: string;
  readonly edit: string;
  readonly language: LanguageId;
  /** Detected if left out. */
  readonly style?: EditStyle | undefined;
}

/** What was checked of an output before it was given out. All hold, or there is no output. */
export interface Proofs {
  /** No syntax error that the original had not. */
  readonly parses: true;
  readonly noMarkerLeft: true;
  /** Every declaration of the original is there, but for the ones the edit shows to be gone. */
  readonly declarationsKept: true;
  readonly noNewDuplicates: true;
  /** Every line of the edit that is no marker is in the output, in order. */
  readonly editPresent: true;
  /** Bytes outside the touched ranges are those of the original. */
  readonly untouchedIdentical: true;
  /** The same edit finds itself applied in the output. */
  readonly idempotent: true;
}

/** A stretch of the original, in UTF-16 units, and what stands there in the output. */
export interface TouchedRange {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

export interface Applied {
  readonly ok: true;
  readonly output: string;
  readonly changed: boolean;
  readonly style: EditStyle;
  /** Which mergers yielded this output. */
  readonly engine: 'tree+lines' | 'tree' | 'lines' | 'text';
  readonly proofs: Proofs;
  readonly touched: readonly TouchedRange[];
  /** Names of declarations that the edit removed. */
  readonly removed: readonly string[];
}

/** One of several places or results that fit. */
export interface Candidate {
  /** 1-based line of the original. */
  readonly line: number;
  readonly text: string;
}

export interface Refused {
  readonly ok: false;
  readonly reason: RefusalReason;
  readonly style: EditStyle | null;
  readonly detail: string;
  readonly candidates: readonly Candidate[];
}

export type ApplyResult = Applied | Refused;
