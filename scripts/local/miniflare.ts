import { registerHooks } from 'node:module';

/**
 * The buffer in which Miniflare writes the runtime's configuration grows by no more than is asked for, and is copied each
 * time. That is nothing for scripts, but the boosters' grammars are 60 MB in fifty pieces: seven gigabytes of copying, a
 * start of half a minute. Here it doubles. Seen with 5.20261023; should another version read otherwise, it is only slow.
 */
const GROWS = 's.buffer = new ArrayBuffer(srcBuffer.byteLength + minSize);';
const DOUBLES = 's.buffer = new ArrayBuffer(srcBuffer.byteLength + Math.max(minSize, srcBuffer.byteLength));';

/** Miniflare, loaded on first use: that takes a third of a second. */
export async function loadMiniflare(): Promise<typeof import('miniflare')> {
  const hooks = registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      if (!url.endsWith('/miniflare/dist/src/index.js') || loaded.source === undefined || loaded.source === null) return loaded;
      const source = typeof loaded.source === 'string' ? loaded.source : new TextDecoder().decode(loaded.source);
      return { ...loaded, source: source.replace(GROWS, DOUBLES) };
    },
  });
  try {
    return await import('miniflare');
  } finally {
    hooks.deregister();
  }
}
