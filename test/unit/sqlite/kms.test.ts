import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KmsKeys, type KmsKeysOptions } from '../../../wasm/sqlite/keys/kms-keys.ts';
import { KmsStub } from '../../lib/kms-stub.ts';
import { addNotes, countOf, IDENTITY, NOTES, openSealed } from '../../lib/sealed.ts';
import { NodeStorage } from '../../lib/sql-storage.ts';

const ACCOUNT = {
  region: 'eu-west-1',
  accessKeyId: 'AKIAEXAMPLE',
  secretAccessKey: 'secret/of+the=account',
  keyId: 'alias/memory',
};
let stub: KmsStub;
const keys = (over: Partial<KmsKeysOptions> = {}): KmsKeys => new KmsKeys({ ...ACCOUNT, endpoint: stub.endpoint, ...over });

beforeAll(async () => {
  stub = await KmsStub.start(ACCOUNT);
});
afterAll(() => stub.stop());

describe('data keys from a key service', () => {
  it('M28: a data key comes wrapped, and opens for its own region, fleet and database only', async () => {
    const { plain, wrapped } = await keys().generate(IDENTITY);
    expect(plain).toHaveLength(32);
    expect(await keys().unwrap(IDENTITY, wrapped)).toEqual(plain);
    expect(stub.calls.at(-1)).toEqual({ action: 'Decrypt', context: { purpose: 'fleet-manager/sealed-sqlite', ...IDENTITY } });
    for (const other of [{ fleet: 'other' }, { database: 'other' }]) {
      await expect(keys().unwrap({ ...IDENTITY, ...other }, wrapped)).rejects.toMatchObject({ code: 'key_refused' });
    }
    await expect(keys().unwrap(IDENTITY, wrapped.slice(1))).rejects.toMatchObject({ code: 'key_refused' });
  });

  it('M28: keys of one region are not for another, neither here nor at the service', async () => {
    const calls = stub.calls.length;
    await expect(keys().generate({ ...IDENTITY, region: 'us-east-1' })).rejects.toMatchObject({ code: 'key_refused' });
    expect(stub.calls).toHaveLength(calls);
    // A Worker of another region that points its provider at this region's service: the signature names the region.
    const foreign = keys({ region: 'us-east-1' });
    await expect(foreign.generate({ ...IDENTITY, region: 'us-east-1' })).rejects.toMatchObject({
      code: 'key_refused',
      message: expect.stringContaining('UnrecognizedClientException'),
    });
    // And with the right signature the key's policy looks at the encryption context.
    const lying = keys({ fetch: (request) => fetch(request) });
    const identity = { ...IDENTITY };
    Object.defineProperty(identity, 'region', { get: onceThen('eu-west-1', 'us-east-1') });
    await expect(lying.generate(identity)).rejects.toMatchObject({ message: expect.stringContaining('AccessDeniedException') });
  });

  it('M30: the stub checks signatures: another secret, account or a changed body is refused', async () => {
    await expect(keys({ secretAccessKey: 'other' }).generate(IDENTITY)).rejects.toMatchObject({
      message: expect.stringContaining('InvalidSignatureException'),
    });
    await expect(keys({ accessKeyId: 'AKIAOTHER' }).generate(IDENTITY)).rejects.toMatchObject({ code: 'key_refused' });
    const meddling = keys({
      fetch: async (request) =>
        fetch(new Request(request, { method: 'POST', body: (await request.clone().text()).replace('acme', 'evil') })),
    });
    await expect(meddling.generate(IDENTITY)).rejects.toMatchObject({
      message: expect.stringContaining('InvalidSignatureException'),
    });
  });

  it('M29: what passes is tried again, what does not pass is not', async () => {
    stub.instead.push({ status: 500, body: {} }, { status: 400, body: { __type: 'ThrottlingException' } });
    expect((await keys().generate(IDENTITY)).plain).toHaveLength(32);
    stub.instead.push(...Array.from({ length: 3 }, () => ({ status: 503, body: {} })));
    await expect(keys().generate(IDENTITY)).rejects.toMatchObject({ code: 'key_unavailable' });
    stub.instead.push({ status: 400, body: { __type: 'DisabledException' } });
    const calls = stub.calls.length;
    await expect(keys().generate(IDENTITY)).rejects.toMatchObject({
      code: 'key_refused',
      message: expect.stringContaining('DisabledException'),
    });
    expect(stub.calls).toHaveLength(calls);
    await expect(keys({ endpoint: 'http://127.0.0.1:9/' }).generate(IDENTITY)).rejects.toMatchObject({ code: 'key_unavailable' });
    stub.instead.push({ status: 200, body: { Plaintext: 'AAAA', CiphertextBlob: 'AAAA' } });
    await expect(keys().generate(IDENTITY)).rejects.toMatchObject({ code: 'key_unavailable' });
  });

  it('M28: a database opens with one call for each of its keys, rotates, and is lost without the service', async () => {
    const storage = new NodeStorage();
    const db = await openSealed(storage, { keys: keys() });
    db.sql.exec(NOTES);
    addNotes(db, 20);
    await db.startRotation();
    while (db.keyStatus.olderKeyIds.length > 0) await db.maintain();
    const calls = stub.calls.length;
    expect(countOf(await openSealed(storage, { keys: keys() }))).toBe(20);
    expect(stub.calls.slice(calls).map(({ action }) => action)).toEqual(['Decrypt']);
    const other = await KmsStub.start(ACCOUNT);
    await expect(openSealed(storage, { keys: keys({ endpoint: other.endpoint }) })).rejects.toMatchObject({
      code: 'key_refused',
    });
    await other.stop();
  });
});

/** A property that says one thing to whoever looks first, and another afterwards. */
function onceThen(first: string, later: string): () => string {
  let looks = 0;
  return () => (looks++ === 0 ? first : later);
}
