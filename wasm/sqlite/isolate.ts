/**
 * All databases of an isolate share one WebAssembly heap, which never shrinks and outlives an object that was put to sleep.
 * So their page caches share one budget, there is one engine per database, and the engine not used for longest makes room;
 * it is opened again when its object is called.
 */
const CACHE_TOTAL_BYTES = 48 * 2 ** 20;
const CACHE_MIN_BYTES = 2 * 2 ** 20;
const ENGINES_MAX = CACHE_TOTAL_BYTES / CACHE_MIN_BYTES;

export interface OpenEngine {
  /** What it asked for. */
  readonly cacheBytes: number;
  readonly usedAt: number;
  /** False while a transaction runs. */
  isIdle(): boolean;
  setCacheBytes(bytes: number): void;
  /** Closes it; its database opens another one at its next call. */
  drop(): void;
}

const open = new Map<string, OpenEngine>();
let uses = 0;

/** A number that rises with every use, to tell who was used last. */
export const nextUse = (): number => ++uses;

/** Before an engine for `name` is opened: closes what a predecessor left, and who must make room. */
export function makeRoom(name: string): void {
  open.get(name)?.drop();
  open.delete(name);
  while (open.size >= ENGINES_MAX) {
    const idle = [...open].filter(([, engine]) => engine.isIdle()).toSorted(([, a], [, b]) => a.usedAt - b.usedAt);
    const [oldest] = idle;
    if (oldest === undefined) return;
    open.delete(oldest[0]);
    oldest[1].drop();
  }
}

export function register(name: string, engine: OpenEngine): void {
  open.set(name, engine);
  share();
}

export function unregister(name: string, engine: OpenEngine): void {
  if (open.get(name) !== engine) return;
  open.delete(name);
  share();
}

/** Everyone gets what it asked for while that fits, else an equal part. */
function share(): void {
  const part = Math.max(CACHE_MIN_BYTES, CACHE_TOTAL_BYTES / open.size);
  for (const engine of open.values()) engine.setCacheBytes(Math.min(engine.cacheBytes, part));
}
