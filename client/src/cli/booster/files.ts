import { randomUUID } from 'node:crypto';
import { open, readdir, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { BOOSTER_EXTENSIONS } from '../../../../shared/booster.ts';
import { LIMITS } from '../../../../shared/limits.ts';
import { UsageError } from '../errors.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const EXTENSIONS = new Set(BOOSTER_EXTENSIONS.map((extension) => `.${extension}`));
/** Nobody's own code. */
const SKIPPED = new Set(['node_modules', 'dist', 'build', 'target', 'vendor', '__pycache__']);

/** The file's text as it is, byte order mark included; `-` is standard input. */
export async function readCode(file: string): Promise<string> {
  if (file === '-') return text(process.stdin);
  try {
    return utf8.decode(await readFile(file));
  } catch (cause) {
    const reason = cause instanceof TypeError ? 'it is not UTF-8 text' : cause instanceof Error ? cause.message : String(cause);
    throw new UsageError(`Cannot read ${file}: ${reason}`, { cause });
  }
}

/**
 * Puts new content in the file's place, whole or not at all, with the mode it had. Refuses when the file is no longer what
 * the content was made from: somebody's work would be lost.
 */
export async function replaceCode(file: string, before: string, after: string): Promise<void> {
  const target = await realpath(file);
  const { mode } = await stat(target);
  const part = path.join(path.dirname(target), `.${path.basename(target)}.${randomUUID().slice(0, 8)}`);
  try {
    const handle = await open(part, 'wx', mode);
    try {
      await handle.writeFile(after, 'utf8');
      await handle.chmod(mode);
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (utf8.decode(await readFile(target)) !== before)
      throw new UsageError(`${file} has changed meanwhile; nothing was written.`);
    await rename(part, target);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

/** Files of languages the booster reads, under the given paths, in a fixed order. A file named itself is always taken. */
export async function codeFiles(paths: readonly string[]): Promise<readonly string[]> {
  const found: string[] = [];
  for (const given of paths) {
    const facts = await stat(given).catch((cause: unknown) => {
      throw new UsageError(`There is no ${given}.`, { cause });
    });
    if (facts.isDirectory()) await walk(given, found);
    else found.push(given);
  }
  return found;
}

async function walk(directory: string, found: string[]): Promise<void> {
  const entries = await readdir(directory, { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name.startsWith('.')) continue;
    const full = path.join(directory, entry.name);
    if (entry.isDirectory()) {
      if (!SKIPPED.has(entry.name)) await walk(full, found);
    } else if (entry.isFile() && EXTENSIONS.has(path.extname(entry.name).toLowerCase())) {
      const { size } = await stat(full);
      if (size <= LIMITS.boosterFileChars) found.push(full);
    }
  }
}
