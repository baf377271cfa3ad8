import { SqlitePoolStorage } from '../../durable-objects/pool/sqlite-storage.ts';
import type { PoolStorage } from '../../durable-objects/pool/storage.ts';
import type { NodeSql } from './sql-storage.ts';

const WRITES: ReadonlySet<string | symbol> = new Set(['write', 'audit', 'putAnswer', 'forgetAnswers', 'prune']);

export interface Reopened extends PoolStorage {
  /** The end of a transaction. */
  flush(): void;
}

/**
 * Storage over rows whose memory is gone again and again, as by a crash after the commit: after every so many transactions
 * another object reads what was stored. Without `transactions`, each write is one.
 */
export function reopened(sql: NodeSql, every: number, transactions = true): Reopened {
  let storage = new SqlitePoolStorage(sql);
  let ended = 0;
  const flush = (): void => {
    storage.flush();
    ended += 1;
    if (ended % every !== 0) return;
    storage = new SqlitePoolStorage(sql);
    storage.load();
  };
  return new Proxy({} as Reopened, {
    get(_, name: keyof Reopened) {
      if (name === 'flush') return flush;
      return (...args: never[]) => {
        const answer = storage[name](...(args as unknown as [never, never, never]));
        if (!transactions && WRITES.has(name)) flush();
        return answer;
      };
    },
  });
}
