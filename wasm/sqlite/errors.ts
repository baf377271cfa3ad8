/**
 * - `tampered`: a sealed page, the pager row or a wrapped key does not open: changed, moved, or from elsewhere.
 * - `wrong_region`: this storage belongs to another region than the one that opens it.
 * - `key_unavailable`: the key service did not answer; try again. `key_refused`: it does not give the key.
 * - `forbidden`: a statement that could lead the engine past its pager, or a write where only reads are.
 * - `escaped`: a guard found the engine past its pager; the transaction is undone and the engine is opened anew.
 * - `too_large`: over a bound of this engine. `incompatible`: a file that is no database of this schema.
 * - `changed`: something else was done meanwhile; try again.
 * - `nonces_spent`: a key has sealed as much as it may; rotation is overdue.
 */
export type SealedErrorCode =
  | 'tampered'
  | 'wrong_region'
  | 'key_unavailable'
  | 'key_refused'
  | 'forbidden'
  | 'escaped'
  | 'too_large'
  | 'incompatible'
  | 'changed'
  | 'nonces_spent';

/** What the engine refuses. The message names pages and tables, never a key or a value. */
export class SealedError extends Error {
  override readonly name = 'SealedError';
  readonly code: SealedErrorCode;
  /** The page that is meant, from 0, where there is one. */
  readonly page: number | null;

  constructor(code: SealedErrorCode, message: string, options: { readonly page?: number; readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.page = options.page ?? null;
  }
}
