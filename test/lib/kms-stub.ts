import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface KmsStubOptions {
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly keyId: string;
}

interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

const SKEW_MS = 5 * 60 * 1_000;
const NEEDED_HEADERS = ['host', 'x-amz-date', 'x-amz-target'];

/**
 * A key service that speaks the two calls of AWS KMS we use, over its JSON protocol. It checks the Signature Version 4 of each
 * call by itself, and has the key policy that a region's key should have: an encryption context that names the region.
 */
export class KmsStub {
  readonly calls: { readonly action: string; readonly context: Readonly<Record<string, string>> }[] = [];
  /** Answers to give instead, first come first served. */
  readonly instead: Answer[] = [];
  readonly #options: KmsStubOptions;
  readonly #master = randomBytes(32);
  readonly #server: Server;

  private constructor(options: KmsStubOptions) {
    this.#options = options;
    this.#server = createServer((request, response) => {
      void this.#serve(request).then(({ status, body }) => {
        response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(body));
      });
    });
  }

  static async start(options: KmsStubOptions): Promise<KmsStub> {
    const stub = new KmsStub(options);
    await new Promise<void>((resolve) => stub.#server.listen(0, '127.0.0.1', resolve));
    return stub;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  stop(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  async #serve(request: IncomingMessage): Promise<Answer> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const refused = this.#checkSignature(request, body);
    if (refused !== null) return refusal(refused);
    const instead = this.instead.shift();
    if (instead !== undefined) return instead;
    const action = String(request.headers['x-amz-target']).replace('TrentService.', '');
    const parameters = JSON.parse(body.toString()) as Readonly<Record<string, unknown>>;
    const context = (parameters['EncryptionContext'] ?? {}) as Readonly<Record<string, string>>;
    this.calls.push({ action, context });
    if (parameters['KeyId'] !== this.#options.keyId) return refusal('NotFoundException');
    // The condition `kms:EncryptionContext:region` of the key's policy.
    if (context['region'] !== this.#options.region) return refusal('AccessDeniedException');
    if (action === 'GenerateDataKey') return this.#generate(context);
    if (action === 'Decrypt') return this.#decrypt(String(parameters['CiphertextBlob']), context);
    return refusal('UnknownOperationException');
  }

  #generate(context: Readonly<Record<string, string>>): Answer {
    const key = randomBytes(32);
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', this.#master, nonce);
    cipher.setAAD(contextBytes(context));
    const blob = Buffer.concat([nonce, cipher.update(key), cipher.final(), cipher.getAuthTag()]);
    return {
      status: 200,
      body: { KeyId: this.#options.keyId, Plaintext: key.toString('base64'), CiphertextBlob: blob.toString('base64') },
    };
  }

  #decrypt(text: string, context: Readonly<Record<string, string>>): Answer {
    try {
      const blob = Buffer.from(text, 'base64');
      const decipher = createDecipheriv('aes-256-gcm', this.#master, blob.subarray(0, 12));
      decipher.setAAD(contextBytes(context));
      decipher.setAuthTag(blob.subarray(-16));
      const key = Buffer.concat([decipher.update(blob.subarray(12, -16)), decipher.final()]);
      return { status: 200, body: { KeyId: this.#options.keyId, Plaintext: key.toString('base64') } };
    } catch {
      return refusal('InvalidCiphertextException');
    }
  }

  /** Signature Version 4, from its description: the name of what is wrong, or null. */
  #checkSignature(request: IncomingMessage, body: Buffer): string | null {
    const pattern =
      /^AWS4-HMAC-SHA256 Credential=(?<id>[^/]+)\/(?<date>\d{8})\/(?<region>[^/]+)\/kms\/aws4_request, SignedHeaders=(?<names>[^,]+), Signature=(?<signature>[0-9a-f]{64})$/;
    const groups = pattern.exec(request.headers.authorization ?? '')?.groups;
    if (groups === undefined) return 'MissingAuthenticationTokenException';
    const { id = '', date = '', region = '', names = '', signature = '' } = groups;
    const time = String(request.headers['x-amz-date']);
    const at = Date.parse(time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
    if (!(Math.abs(Date.now() - at) < SKEW_MS) || !time.startsWith(date)) return 'RequestExpired';
    if (id !== this.#options.accessKeyId || region !== this.#options.region) return 'UnrecognizedClientException';
    const signed = names.split(';');
    if (NEEDED_HEADERS.some((name) => !signed.includes(name))) return 'IncompleteSignatureException';
    const headers = signed
      .map(
        (name) =>
          `${name}:${String(request.headers[name] ?? '')
            .trim()
            .replaceAll(/\s+/g, ' ')}\n`,
      )
      .join('');
    const canonical = [request.method, '/', '', headers, names, createHash('sha256').update(body).digest('hex')].join('\n');
    const scope = `${date}/${region}/kms/aws4_request`;
    const toSign = ['AWS4-HMAC-SHA256', time, scope, createHash('sha256').update(canonical).digest('hex')].join('\n');
    const key = [date, region, 'kms', 'aws4_request'].reduce<Buffer>(hmac, Buffer.from(`AWS4${this.#options.secretAccessKey}`));
    return timingSafeEqual(hmac(key, toSign), Buffer.from(signature, 'hex')) ? null : 'InvalidSignatureException';
  }
}

const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();

const refusal = (kind: string): Answer => ({ status: 400, body: { __type: `com.amazonaws.kms#${kind}`, message: 'refused' } });

/** The context is authenticated as a set of pairs, whatever their order. */
const contextBytes = (context: Readonly<Record<string, string>>): Buffer =>
  Buffer.from(JSON.stringify(Object.entries(context).toSorted(([a], [b]) => (a < b ? -1 : 1))));
