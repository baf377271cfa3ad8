import { AwsClient } from 'aws4fetch';
import { SealedError } from '../errors.ts';
import type { DatabaseIdentity } from '../types.ts';
import type { DataKey, KeyProvider } from './key-provider.ts';

const ATTEMPTS_MAX = 3;
const TIMEOUT_MS = 5_000;
const BACKOFF_MS = 200;
/** A wrapped key of 32 bytes has some 200; an answer over this is none of a key service. */
const ANSWER_BYTES_MAX = 64 * 1_024;
/** Errors that come with status 400 and still mean "again". */
const PASSING = new Set(['ThrottlingException', 'LimitExceededException', 'DependencyTimeoutException', 'KMSInternalException']);

export interface KmsKeysOptions {
  /** The one region whose databases this provider serves; also the region of the signature. */
  readonly region: string;
  /** Id, ARN or alias of the key that wraps. */
  readonly keyId: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
  /** Default: the service's own address in `region`. For a gateway before an HSM that speaks the same protocol, or a test. */
  readonly endpoint?: string | undefined;
  readonly fetch?: ((request: Request) => Promise<Response>) | undefined;
}

/**
 * Envelope encryption with AWS KMS (JSON protocol, Signature Version 4), or a key service in front of an HSM that speaks it.
 * The wrapping key never leaves the service. Region, fleet and database are the encryption context: the service authenticates
 * it, logs it, and a key policy can demand it (`kms:EncryptionContext:region`), so that a key of one region cannot be had from
 * another whatever this code does.
 */
export class KmsKeys implements KeyProvider {
  readonly #options: KmsKeysOptions;
  readonly #client: AwsClient;
  readonly #endpoint: string;

  constructor(options: KmsKeysOptions) {
    this.#options = options;
    this.#endpoint = options.endpoint ?? `https://kms.${options.region}.amazonaws.com/`;
    const { accessKeyId, secretAccessKey, sessionToken, region } = options;
    this.#client = new AwsClient({
      accessKeyId,
      secretAccessKey,
      ...(sessionToken !== undefined && { sessionToken }),
      service: 'kms',
      region,
    });
  }

  async generate(identity: DatabaseIdentity): Promise<DataKey> {
    const answer = await this.#call('GenerateDataKey', identity, { KeySpec: 'AES_256' });
    return { plain: keyBytes(answer['Plaintext']), wrapped: bytesOf(answer['CiphertextBlob']) };
  }

  async unwrap(identity: DatabaseIdentity, wrapped: Uint8Array): Promise<Uint8Array> {
    const answer = await this.#call('Decrypt', identity, { CiphertextBlob: Buffer.from(wrapped).toString('base64') });
    return keyBytes(answer['Plaintext']);
  }

  async #call(action: string, identity: DatabaseIdentity, parameters: Readonly<Record<string, string>>): Promise<Answer> {
    if (identity.region !== this.#options.region) {
      throw new SealedError('key_refused', `keys of ${this.#options.region} are not for ${identity.region}`);
    }
    const body = JSON.stringify({ KeyId: this.#options.keyId, EncryptionContext: contextOf(identity), ...parameters });
    for (let attempt = 1; ; attempt += 1) {
      const outcome = await this.#attempt(action, body);
      if ('answer' in outcome) return outcome.answer;
      if (attempt >= ATTEMPTS_MAX)
        throw new SealedError('key_unavailable', `the key service does not answer: ${outcome.trouble}`);
      await new Promise((resolve) => setTimeout(resolve, BACKOFF_MS * attempt));
    }
  }

  /** What passes comes back as `trouble`; a refusal throws. */
  async #attempt(action: string, body: string): Promise<{ readonly answer: Answer } | { readonly trouble: string }> {
    let status: number;
    let answer: Answer;
    try {
      // Signed anew each time: the signature holds the time.
      const request = await this.#client.sign(this.#endpoint, {
        method: 'POST',
        headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `TrentService.${action}` },
        body,
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      const response = await (this.#options.fetch ?? fetch)(request);
      status = response.status;
      answer = await readAnswer(response);
    } catch (error) {
      return { trouble: error instanceof Error ? error.name : 'no connection' };
    }
    if (status === 200) return { answer };
    const { __type: type } = answer;
    const kind = typeof type === 'string' ? type.replace(/^.*#/, '') : `status ${status}`;
    if (status >= 500 || status === 429 || PASSING.has(kind)) return { trouble: kind };
    throw new SealedError('key_refused', `the key service refuses ${action}: ${kind}`);
  }
}

type Answer = Readonly<Record<string, unknown>>;

const contextOf = ({ region, fleet, database }: DatabaseIdentity): Readonly<Record<string, string>> => ({
  purpose: 'fleet-manager/sealed-sqlite',
  region,
  fleet,
  database,
});

async function readAnswer(response: Response): Promise<Answer> {
  const text = await response.text();
  if (text.length > ANSWER_BYTES_MAX) throw new Error('answer too long');
  const value: unknown = text === '' ? {} : JSON.parse(text);
  if (typeof value !== 'object' || value === null) throw new Error('answer is no object');
  return value as Answer;
}

function bytesOf(value: unknown): Uint8Array {
  if (typeof value !== 'string' || value === '')
    throw new SealedError('key_unavailable', 'the key service answered without a key');
  return new Uint8Array(Buffer.from(value, 'base64'));
}

function keyBytes(value: unknown): Uint8Array {
  const bytes = bytesOf(value);
  if (bytes.length !== 32) throw new SealedError('key_unavailable', `the key service answered a key of ${bytes.length} bytes`);
  return bytes;
}
