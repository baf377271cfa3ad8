import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify, SignJWT, importJWK } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openAdminToken, openSigningKeys, rotateSigningKeys } from '../../../scripts/local/keys.ts';
import { isAlive, parentOf, startedAt } from '../../../scripts/local/processes.ts';
import { lockStateDir, openStateDir, type StateDir, StateDirBusyError } from '../../../scripts/local/state-dir.ts';

let dir: StateDir;
beforeEach(() => {
  dir = openStateDir(path.join(mkdtempSync(path.join(tmpdir(), 'fleet-state-')), 'state'));
});
afterEach(() => rmSync(path.dirname(dir.root), { recursive: true, force: true }));

const mode = (file: string): number => statSync(file).mode & 0o777;

describe('signing keys', () => {
  it('are made once, are Ed25519 and readable by their owner only', async () => {
    const keys = await openSigningKeys(dir);
    expect(keys.keys).toHaveLength(1);
    expect(keys.keys[0]).toMatchObject({ kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig', kid: expect.any(String) });
    expect(mode(dir.signingKeys)).toBe(0o600);
    expect(mode(dir.root)).toBe(0o700);
    expect(await openSigningKeys(dir)).toEqual(keys);
  });

  it('are never replaced because the file is damaged', async () => {
    writeFileSync(dir.signingKeys, '{"keys":[]}');
    await expect(openSigningKeys(dir)).rejects.toThrow(/holds no signing keys/);
    expect(readFileSync(dir.signingKeys, 'utf8')).toBe('{"keys":[]}');
  });

  it('rotate: the new one signs, the old ones verify until dropped', async () => {
    const first = await openSigningKeys(dir);
    const second = await rotateSigningKeys(dir, { dropOld: false });
    expect(second.keys.slice(1)).toEqual(first.keys);
    const third = await rotateSigningKeys(dir, { dropOld: true });
    expect(third.keys).toHaveLength(1);
    expect(second.keys).not.toContainEqual(third.keys[0]);
  });
});

describe('the admin token', () => {
  it('carries the agreed header and claims and verifies with the keys', async () => {
    const keys = await openSigningKeys(dir);
    const token = await openAdminToken(dir, keys);
    expect(mode(dir.adminToken)).toBe(0o600);
    expect(decodeProtectedHeader(token)).toEqual({ alg: 'EdDSA', kid: keys.keys[0]?.kid, typ: 'JWT' });
    const { payload } = await jwtVerify(token, createLocalJWKSet({ keys: keys.keys.map(({ d: _d, ...rest }) => rest) }), {
      issuer: 'fleet-manager',
      audience: 'fleet-manager',
    });
    expect(payload).toMatchObject({ sub: 'local-admin', fleet: 'default', role: 'admin', root: true });
    expect(payload.jti).toMatch(/^[0-9A-HJKMNP-TV-Z]{26}$/);
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(90 * 86_400);
  });

  it('stays the same from start to start, and through a rotation that keeps its key', async () => {
    const token = await openAdminToken(dir, await openSigningKeys(dir));
    expect(await openAdminToken(dir, await openSigningKeys(dir))).toBe(token);
    expect(await openAdminToken(dir, await rotateSigningKeys(dir, { dropOld: false }))).toBe(token);
  });

  it('is made anew when its key was dropped, when it is damaged, and when it is near its end', async () => {
    const token = await openAdminToken(dir, await openSigningKeys(dir));
    const keys = await rotateSigningKeys(dir, { dropOld: true });
    const second = await openAdminToken(dir, keys);
    expect(second).not.toBe(token);

    writeFileSync(dir.adminToken, 'not a token');
    const third = await openAdminToken(dir, keys);
    expect(decodeJwt(third).sub).toBe('local-admin');

    const [key] = keys.keys;
    const old = await new SignJWT({ root: true })
      .setProtectedHeader({ alg: 'EdDSA', kid: key!.kid })
      .setIssuer('fleet-manager')
      .setAudience('fleet-manager')
      .setExpirationTime('29 days')
      .sign(await importJWK(key!, 'EdDSA'));
    writeFileSync(dir.adminToken, old);
    expect(await openAdminToken(dir, keys)).not.toBe(old);
  });
});

describe('the lock of a state directory', () => {
  it('is held by one, and free again after release', () => {
    const lock = lockStateDir(dir);
    expect(() => lockStateDir(dir)).toThrow(StateDirBusyError);
    expect(() => lockStateDir(dir)).toThrow(`process ${process.pid}`);
    lock.release();
    lockStateDir(dir).release();
  });

  it.each([
    ['of a process that is gone', async () => JSON.stringify({ pid: await deadPid(), startedAt: '1' })],
    ['of an earlier process of the same number', async () => JSON.stringify({ pid: process.pid, startedAt: '1' })],
    ['that is empty, as a full disk leaves it', async () => ''],
    ['that is no lock at all', async () => '[]'],
  ])('a lock %s is taken over', async (_name, text) => {
    writeFileSync(dir.lock, await text());
    lockStateDir(dir).release();
  });

  it('a release does not remove a lock that another took since', () => {
    const lock = lockStateDir(dir);
    writeFileSync(dir.lock, '{"pid":1}');
    lock.release();
    expect(readFileSync(dir.lock, 'utf8')).toBe('{"pid":1}');
  });
});

describe('processes', () => {
  it('knows the living, their parent and their start', () => {
    expect(isAlive(process.pid)).toBe(true);
    expect(parentOf(process.pid)).toBe(process.ppid);
    expect(startedAt(process.pid)).toBe(startedAt(process.pid));
  });

  it('knows the dead', async () => expect(isAlive(await deadPid())).toBe(false));
});

function deadPid(): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn('true');
    child.on('exit', () => resolve(child.pid!));
  });
}
