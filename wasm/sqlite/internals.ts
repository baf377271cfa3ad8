import type { Connection } from './connection.ts';
import type { KeyProvider } from './keys/key-provider.ts';
import type { Ledger } from './ledger.ts';
import type { PageCipher } from './page-cipher.ts';
import type { PageStore } from './page-store.ts';
import type { Pager } from './pager.ts';
import type { SqlJs } from './sql-js.ts';
import type { DatabaseIdentity, HostStorage } from './types.ts';

/** The open engine of a database. */
export interface Engine {
  readonly connection: Connection;
  readonly pager: Pager;
  readonly ledger: Ledger;
}

/** What maintenance works on. Everything but `keys` is synchronous, so a step is never interleaved with a transaction. */
export interface Internals {
  readonly storage: HostStorage;
  readonly identity: DatabaseIdentity;
  readonly keys: KeyProvider;
  readonly sqlJs: SqlJs;
  readonly store: PageStore;
  readonly cipher: PageCipher;
  nowMs(): number;
  /** Opens the engine where it is not. */
  engine(): Engine;
  /**
   * A step in one host transaction. What it throws undoes it and drops the engine, whose memory may have run ahead.
   */
  step<T>(body: (engine: Engine) => T): T;
}
