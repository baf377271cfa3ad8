import type { FleetError } from '../../shared/errors.ts';
import { jsonDepthWithin } from '../../shared/json.ts';
import { LIMITS } from '../../shared/limits.ts';
import { err, ok, type Result } from '../../shared/result.ts';
import { invalidField } from './validate.ts';

/** A body as it was sent and as it was read. `text` is what idempotency compares. */
export interface Body {
  readonly text: string;
  readonly value: unknown;
}

const EMPTY: Body = { text: '', value: {} };
const BOM = 0xfe_ff;
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Reads a JSON body, in the order of the contract: 413, 415, then 400, then 422. Never holds more than the limit: the
 * declared length is believed only when it is too large, otherwise bytes are counted as they come.
 */
export async function readJsonBody(request: Request, limitBytes: number = LIMITS.bodyBytes): Promise<Result<Body, FleetError>> {
  const declared = request.headers.get('content-length');
  if (declared !== null && Number(declared) > limitBytes) {
    if (Number(declared) <= 2 * limitBytes) await drop(request.body);
    return err(tooLarge(limitBytes));
  }
  // Only where it is needed: the platform makes an object of the stream that stays until a full collection.
  const stream = declared === null ? request.body : null;
  if (declared === null ? stream === null : Number(declared) === 0) return ok(EMPTY);
  const encoding = request.headers.get('content-encoding');
  if (encoding !== null && encoding.trim().toLowerCase() !== 'identity') {
    return err({ kind: 'unsupported_media_type', detail: 'Bodies are sent without content-encoding.' });
  }
  const typed = isJsonType(request.headers.get('content-type'));
  // A wrong type is told before the body is read, except where an empty body would have made it irrelevant.
  if (!typed && declared !== null) return err(notJsonType());
  let bytes: Uint8Array | null;
  try {
    bytes = stream === null ? new Uint8Array(await request.arrayBuffer()) : await readCounted(stream, limitBytes);
  } catch {
    return err(malformed('The body broke off.'));
  }
  if (bytes === null) return err(tooLarge(limitBytes));
  if (bytes.byteLength === 0) return ok(EMPTY);
  if (!typed) return err(notJsonType());
  return parseJson(bytes);
}

/** Reads a body that is a file: 413, then 415, then its bytes. Never holds more than the limit. */
export async function readFileBody(
  request: Request,
  { limitBytes, types }: { readonly limitBytes: number; readonly types: readonly string[] },
): Promise<Result<Uint8Array<ArrayBuffer>, FleetError>> {
  const declared = request.headers.get('content-length');
  if (declared !== null && Number(declared) > limitBytes) return err(tooLarge(limitBytes));
  const type = (request.headers.get('content-type') ?? '').toLowerCase().split(';')[0]?.trim() ?? '';
  const encoding = request.headers.get('content-encoding');
  if (!types.includes(type) || (encoding !== null && encoding.trim().toLowerCase() !== 'identity')) {
    return err({ kind: 'unsupported_media_type', detail: `Bodies are ${types.join(' or ')}, without content-encoding.` });
  }
  if (request.body === null) return ok(new Uint8Array(0));
  try {
    const bytes = await readCounted(request.body, limitBytes);
    return bytes === null ? err(tooLarge(limitBytes)) : ok(new Uint8Array(bytes));
  } catch {
    return err(malformed('The body broke off.'));
  }
}

function parseJson(bytes: Uint8Array): Result<Body, FleetError> {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    return err(malformed('The body is not UTF-8.'));
  }
  if (text.charCodeAt(0) === BOM) return err(malformed('The body starts with a byte order mark.'));
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return err(malformed('The body is not JSON.'));
  }
  // Whatever handles the value later may recurse: nothing deeper than the limit gets that far.
  if (!jsonDepthWithin(text, LIMITS.jsonDepth)) return err(invalidField('', `is nested deeper than ${LIMITS.jsonDepth} levels`));
  const path = nonFinitePath(text, value);
  return path === null ? ok({ text, value }) : err(invalidField(path, 'is not a finite number'));
}

/** A number that JSON can write and a double cannot hold needs an exponent of three digits or some 300 digits. */
const MAYBE_INFINITE = /[0-9][eE]\+?[0-9]{3}|[0-9]{300}/;

/** Where the text holds a number beyond a double, such as 1e400: it would silently become another value. */
function nonFinitePath(text: string, root: unknown): string | null {
  if (!MAYBE_INFINITE.test(text)) return null;
  const stack: { readonly value: unknown; readonly path: string }[] = [{ value: root, path: '' }];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { value, path } = next;
    if (typeof value === 'number' && !Number.isFinite(value)) return path;
    if (typeof value !== 'object' || value === null) continue;
    for (const [key, child] of Object.entries(value)) {
      if (typeof child === 'number' || (typeof child === 'object' && child !== null)) {
        stack.push({ value: child, path: path === '' ? key : `${path}.${key}`.slice(-200) });
      }
    }
  }
  return null;
}

/**
 * Reads a body and keeps nothing of it. A client that is still writing when the answer comes sees a broken connection instead
 * of the answer; a body that is only a little too large is let finish.
 */
async function drop(body: ReadableStream<Uint8Array> | null): Promise<void> {
  if (body === null) return;
  const reader = body.getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read());
  } catch {
    // It broke off; the answer is the same.
  }
}

/** The whole body, or null as soon as it is longer than the limit; the rest is not read. */
async function readCounted(body: ReadableStream<Uint8Array>, limitBytes: number): Promise<Uint8Array | null> {
  const reader = body.getReader();
  const chunks: Uint8Array[] = [];
  let total = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    total += value.byteLength;
    if (total > limitBytes) {
      await reader.cancel().catch(() => undefined);
      return null;
    }
    chunks.push(value);
  }
  const only = chunks[0];
  if (chunks.length === 1 && only !== undefined) return only;
  const whole = new Uint8Array(total);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}

/** `application/json`, in UTF-8 when it names a charset at all; other parameters change nothing. */
function isJsonType(type: string | null): boolean {
  if (type === null) return false;
  const [essence = '', ...parameters] = type.toLowerCase().split(';', 8);
  if (essence.trim() !== 'application/json') return false;
  return parameters.every((parameter) => {
    const [name = '', value = ''] = parameter.split('=', 2);
    return name.trim() !== 'charset' || value.trim().replaceAll('"', '') === 'utf-8';
  });
}

const tooLarge = (limitBytes: number): FleetError => ({
  kind: 'payload_too_large',
  limitBytes,
  detail: `The body is larger than ${limitBytes} bytes.`,
});
const notJsonType = (): FleetError => ({ kind: 'unsupported_media_type', detail: 'Bodies are application/json in UTF-8.' });
const malformed = (detail: string): FleetError => ({ kind: 'malformed_request', detail });
