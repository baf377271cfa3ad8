import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { languageOf } from '../../examples/analysers/languages.ts';
import { digestOf, type SourceFile } from '../../examples/analysers/source-file.ts';

/** A source file, with the digest every analysis of it must show. */
export interface FoundFile extends SourceFile {
  readonly bytes: number;
  readonly sha256: string;
}

export interface FoundFiles {
  readonly files: readonly FoundFile[];
  /** How many were left out, by reason. */
  readonly skipped: Readonly<Record<SkipReason, number>>;
}

export type SkipReason = 'other kinds of file' | 'binary' | 'too large' | 'lock files' | 'unreadable';

/** Larger files are data more often than source. */
const FILE_BYTES_MAX = 512 * 1024;
/** As JSON a file grows by its escapes; the whole payload may be 1 MiB. */
const PAYLOAD_BYTES_MAX = 1_000_000;
const SKIPPED_FOLDERS: ReadonlySet<string> = new Set([
  'node_modules',
  'bower_components',
  'vendor',
  'dist',
  'build',
  'out',
  'target',
  'coverage',
  '__pycache__',
  'venv',
]);
const LOCK_FILES: ReadonlySet<string> = new Set([
  'package-lock.json',
  'npm-shrinkwrap.json',
  'pnpm-lock.yaml',
  'composer.lock',
  'cargo.lock',
  'poetry.lock',
]);

/** Every source file under a directory, by path. Links are not followed; hidden files and build output are left out. */
export function findFiles(directory: string, maxFiles: number | null): FoundFiles {
  const skipped: Record<SkipReason, number> = {
    'other kinds of file': 0,
    binary: 0,
    'too large': 0,
    'lock files': 0,
    unreadable: 0,
  };
  const files: FoundFile[] = [];
  for (const name of sourcePaths(directory)) {
    if (files.length === maxFiles) break;
    if (LOCK_FILES.has(path.basename(name).toLowerCase())) skipped['lock files']++;
    else if (languageOf(name) === null) skipped['other kinds of file']++;
    else {
      const file = readSource(directory, name);
      if (typeof file === 'string') skipped[file]++;
      else files.push(file);
    }
  }
  return { files, skipped };
}

/** Paths relative to the directory, with forward slashes, in order. */
function* sourcePaths(directory: string, folder = ''): Generator<string, void, undefined> {
  const entries = readdirSync(path.join(directory, folder), { withFileTypes: true });
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name.startsWith('.')) continue;
    const name = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory() && !SKIPPED_FOLDERS.has(entry.name)) yield* sourcePaths(directory, name);
    else if (entry.isFile()) yield name;
  }
}

function readSource(directory: string, name: string): FoundFile | SkipReason {
  try {
    const full = path.join(directory, name);
    if (statSync(full).size > FILE_BYTES_MAX) return 'too large';
    const raw = readFileSync(full);
    if (raw.includes(0)) return 'binary';
    const source = decode(raw);
    if (source === null) return 'binary';
    const file = { path: name, source, bytes: raw.byteLength, sha256: digestOf(source) };
    return Buffer.byteLength(JSON.stringify(source)) > PAYLOAD_BYTES_MAX ? 'too large' : file;
  } catch {
    return 'unreadable';
  }
}

function decode(raw: Buffer): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(raw);
  } catch {
    return null;
  }
}
