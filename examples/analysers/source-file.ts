import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import type { Language } from './languages.ts';
import { languageOf } from './languages.ts';

/** What an analyser is given: a file by its name and text, so that an agent needs no access to the disk it came from. */
export interface SourceFile {
  readonly path: string;
  readonly source: string;
}

/** What every analysis says of its input: the digest proves that this text was analysed, and no other. */
export interface Analysis {
  readonly path: string;
  readonly language: string;
  readonly sha256: string;
}

export class NotASourceFileError extends Error {}

/** Reads a payload; anything but `{path, source}` is refused. */
export function parseSourceFile(payload: unknown): SourceFile {
  const given = typeof payload === 'object' && payload !== null ? (payload as Record<string, unknown>) : {};
  const { path, source } = given;
  if (typeof path !== 'string' || typeof source !== 'string') {
    throw new NotASourceFileError('The payload must be {"path": string, "source": string}');
  }
  return { path, source };
}

/** The language of a file, or a refusal. */
export function knownLanguage(path: string): Language {
  const language = languageOf(path);
  if (language === null) throw new NotASourceFileError(`No analyser knows files like "${path}"`);
  return language;
}

/** The head of every analysis. */
export const headOf = (file: SourceFile, language: Language): Analysis => ({
  path: file.path,
  language: language.name,
  sha256: digestOf(file.source),
});

export const digestOf = (source: string): string => createHash('sha256').update(source, 'utf8').digest('hex');

/**
 * Runs an analyser as a program: the payload on stdin (or a file named as the argument), the result as JSON on stdout,
 * exit code 1 and a line on stderr when it cannot be done. That is all `fleet agent -- <command>` asks of a command.
 */
export async function runAsProgram(analyse: (file: SourceFile) => unknown): Promise<void> {
  try {
    const named = process.argv[2];
    const file =
      named === undefined
        ? parseSourceFile(JSON.parse(await text(process.stdin)))
        : { path: named, source: readFileSync(named, 'utf8') };
    process.stdout.write(`${JSON.stringify(await analyse(file))}\n`);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
