import type { CachedEntry } from './entry-cache.ts';

/**
 * L2: answers of the last five minutes, shared by the isolates of one region. It holds sealed values under sealed names only,
 * so whoever runs it learns nothing; and what it answers is used only when the memory confirms its tag. It may fail at any time.
 */
export interface SharedCache {
  get(name: CacheName): Promise<CachedEntry | null>;
  put(name: CacheName, cached: CachedEntry): Promise<void>;
  /** Everything that is known of a key, whoever read it. */
  invalidate(name: Pick<CacheName, 'fleet' | 'swarm' | 'key'>): Promise<void>;
  /** Everything of a swarm; resolves when it is gone. */
  clear(name: Pick<CacheName, 'fleet' | 'swarm'>): Promise<void>;
}

export interface CacheName {
  readonly fleet: string;
  readonly swarm: string;
  readonly key: string;
  /** Whose answer it is. */
  readonly identity: string;
}
