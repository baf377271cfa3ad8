import type { DatabaseIdentity } from '../types.ts';

/** A data key as it is used and as it is stored. */
export interface DataKey {
  /** 32 bytes; never stored. */
  readonly plain: Uint8Array;
  /** Sealed by the provider for this identity; useless without it. */
  readonly wrapped: Uint8Array;
}

/**
 * Where data keys come from: envelope encryption. Each database has data keys of its own, made and unwrapped by the provider
 * for its identity (region, fleet, database) and for nothing else; the wrapped key lies beside the pages. Destroying the
 * wrapped key destroys every page under it.
 *
 * Both calls may go over the network and throw `SealedError`: `key_unavailable` (try again) or `key_refused` (it will not be
 * given: another region, fleet or database, a key of other hands, a damaged wrapping).
 */
export interface KeyProvider {
  generate(identity: DatabaseIdentity): Promise<DataKey>;
  unwrap(identity: DatabaseIdentity, wrapped: Uint8Array): Promise<Uint8Array>;
}
