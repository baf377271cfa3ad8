import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** What one commit of an allocation appends: a few pages of SQLite's log. */
const COMMIT_BYTES = 16 * 1_024;
const SYNCS = 200;

/** Milliseconds of each of some appends with fsync: what no durable answer can be faster than here. */
export function fsyncSamplesMs(parent: string): readonly number[] {
  const dir = mkdtempSync(join(parent, 'bench-fsync-'));
  const file = openSync(join(dir, 'log'), 'w');
  try {
    const bytes = Buffer.alloc(COMMIT_BYTES, 1);
    return Array.from({ length: SYNCS }, () => {
      const from = performance.now();
      writeSync(file, bytes);
      fdatasyncSync(file);
      return performance.now() - from;
    });
  } finally {
    closeSync(file);
    rmSync(dir, { recursive: true, force: true });
  }
}
