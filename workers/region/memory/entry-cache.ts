import { MEMORY_LIMITS } from '../../../shared/memory-limits.ts';
import type { EntryRef, EntryView } from '../../../shared/memory-rpc.ts';
import type { Caller } from '../../../shared/rpc.ts';
import { AdmissionCache, type CacheBounds } from './admission-cache.ts';

/** An answer as it was given, with the tag by which the memory confirms it. */
export interface CachedEntry {
  readonly tag: string;
  readonly entry: EntryView;
}
interface Kept extends CachedEntry {
  /** When the memory said so, or last confirmed it. */
  readonly atMs: number;
}

/** Some 16 MB of an isolate's 128. */
const BOUNDS: CacheBounds = { items: 20_000, cost: 16 * 2 ** 20 };
/** Bytes that an item costs beside its value. */
const OVERHEAD_BYTES = 512;
/** Keys whose last invalidation is remembered by itself. */
const INVALIDATED_MAX = 10_000;

/** Of one fleet, since this isolate began. A miss of the first cache may be a hit of the shared one. */
export interface CacheCounts {
  hits: number;
  misses: number;
  sharedHits: number;
  sharedMisses: number;
}
/** Fleets whose counts an isolate holds. */
const COUNTED_MAX = 1_000;

/**
 * L1: answers of the last 30 seconds, in the region's own Worker. The key holds the caller itself, so that nobody is ever given
 * what was read by another. A write that passes through this isolate removes the key for all callers at once; of writes
 * elsewhere the memory tells, which is asked unless the caller allows an older answer.
 */
export class EntryCache {
  readonly #cache: AdmissionCache<Kept>;
  /** Cache keys by the memory's key they are about. */
  readonly #byEntry = new Map<string, Set<string>>();
  readonly #invalidatedAt = new Map<string, number>();
  #sequence = 0;
  /** Invalidations up to here are no longer remembered one by one. */
  #floor = 0;
  /** By fleet: what one tenant asks for is not for another to see. */
  readonly #counts = new Map<string, CacheCounts>();

  constructor(bounds: CacheBounds = BOUNDS) {
    this.#cache = new AdmissionCache(bounds);
  }

  counts(fleet: string): CacheCounts {
    const known = this.#counts.get(fleet);
    if (known !== undefined) return known;
    const counts = { hits: 0, misses: 0, sharedHits: 0, sharedMisses: 0 };
    const [oldest] = this.#counts.keys();
    if (this.#counts.size >= COUNTED_MAX && oldest !== undefined) this.#counts.delete(oldest);
    this.#counts.set(fleet, counts);
    return counts;
  }

  get(caller: Caller, swarm: string, ref: EntryRef, nowMs: number): Kept | undefined {
    const key = keyOf(caller, swarm, ref);
    const kept = this.#cache.get(key);
    if (kept === undefined) return undefined;
    const isOver = kept.entry.expiresAtMs !== undefined && kept.entry.expiresAtMs <= nowMs;
    const ageMs = nowMs - kept.atMs;
    if (!isOver && ageMs >= 0 && ageMs < MEMORY_LIMITS.cacheTtlMs) return kept;
    this.#cache.delete(key);
    return undefined;
  }

  /** Taken before the memory is asked: an answer that was under way during an invalidation is not kept. */
  begin(): number {
    return this.#sequence;
  }

  put(
    caller: Caller,
    swarm: string,
    ref: EntryRef,
    cached: CachedEntry,
    facts: { readonly begun: number; readonly nowMs: number },
  ): void {
    const entryKey = entryKeyOf(caller.fleet, swarm, ref.key);
    if (facts.begun < (this.#invalidatedAt.get(entryKey) ?? this.#floor)) return;
    const key = keyOf(caller, swarm, ref);
    const bytes = (cached.entry.value?.length ?? 0) * 2 + key.length * 4 + OVERHEAD_BYTES;
    this.#cache.set(key, { ...cached, atMs: facts.nowMs }, bytes);
    const keys = this.#byEntry.get(entryKey) ?? new Set();
    keys.add(key);
    this.#byEntry.set(entryKey, keys);
    // The cache drops items by itself; their names must not pile up here.
    if (this.#byEntry.size > 4 * BOUNDS.items || keys.size > BOUNDS.items) this.clear();
  }

  /** A key was written, or a right to it changed. */
  invalidate(fleet: string, swarm: string, key: string): void {
    const entryKey = entryKeyOf(fleet, swarm, key);
    this.#sequence += 1;
    this.#invalidatedAt.delete(entryKey);
    this.#invalidatedAt.set(entryKey, this.#sequence);
    if (this.#invalidatedAt.size > INVALIDATED_MAX) {
      const [oldest] = this.#invalidatedAt;
      if (oldest !== undefined) {
        this.#invalidatedAt.delete(oldest[0]);
        this.#floor = Math.max(this.#floor, oldest[1]);
      }
    }
    for (const cached of this.#byEntry.get(entryKey) ?? []) this.#cache.delete(cached);
    this.#byEntry.delete(entryKey);
  }

  clear(): void {
    this.#sequence += 1;
    this.#floor = this.#sequence;
    this.#invalidatedAt.clear();
    this.#cache.clear();
    this.#byEntry.clear();
  }
}

const entryKeyOf = (fleet: string, swarm: string, key: string): string => JSON.stringify([fleet, swarm, key]);

/** The region is the Worker's own: this cache never sees another. */
const keyOf = (caller: Caller, swarm: string, ref: EntryRef): string =>
  JSON.stringify([
    caller.fleet,
    swarm,
    ref.key,
    ref.owner ?? null,
    ref.level ?? null,
    caller.subject,
    caller.role,
    caller.swarms ?? [],
  ]);
