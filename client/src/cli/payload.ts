import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { LIMITS } from '../../../shared/limits.ts';
import { UsageError } from './errors.ts';

export interface PayloadOptions {
  readonly payload?: string;
  readonly payloadText?: string;
  readonly payloadJson?: string;
}

/** The payload the options mean. A file's content is text unless JSON was demanded. */
export async function payloadOf({ payload, payloadText, payloadJson }: PayloadOptions): Promise<unknown> {
  const given = [payload, payloadText, payloadJson].filter((value) => value !== undefined);
  if (given.length !== 1) throw new UsageError('Give one of --payload, --payload-text and --payload-json.');
  if (payloadText !== undefined) return (await load(payloadText)).text;
  if (payloadJson !== undefined) {
    const loaded = await load(payloadJson);
    try {
      return JSON.parse(loaded.text);
    } catch (cause) {
      throw new UsageError(`The payload is not JSON${cause instanceof Error ? `: ${cause.message}` : ''}`, { cause });
    }
  }
  const loaded = await load(payload ?? '');
  if (loaded.isFile) return loaded.text;
  try {
    return JSON.parse(loaded.text);
  } catch {
    return loaded.text;
  }
}

async function load(value: string): Promise<{ readonly text: string; readonly isFile: boolean }> {
  if (!value.startsWith('@')) return { text: value, isFile: false };
  const file = value.slice(1);
  const content = file === '-' ? await text(process.stdin) : await read(file);
  const bytes = Buffer.byteLength(content);
  if (bytes > LIMITS.payloadBytes) throw new UsageError(`${file} is ${bytes} bytes, a payload may have ${LIMITS.payloadBytes}.`);
  return { text: content, isFile: true };
}

async function read(file: string): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(await readFile(file));
  } catch (cause) {
    const reason = cause instanceof TypeError ? 'it is not UTF-8 text' : cause instanceof Error ? cause.message : String(cause);
    throw new UsageError(`Cannot send ${file}: ${reason}`, { cause });
  }
}
