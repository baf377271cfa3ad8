import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type JWK } from 'jose';
import { startLocalFleet } from '../../../scripts/local/fleet.ts';
import type { RegionId } from '../../../regions/table.ts';

const BASE = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
  // Tests look into bodies by name; a wrong name fails the test.
  readonly json: Record<string, unknown>;
}
export interface Call {
  readonly token?: string | null;
  readonly body?: unknown;
  /** Sent as it is. */
  readonly raw?: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A local fleet for one test file, and every status it ever answered. */
export interface ContractFleet {
  readonly url: string;
  readonly port: number;
  readonly admin: string;
  readonly stateDir: string;
  /** The private keys, to forge with. */
  readonly keys: readonly JWK[];
  readonly seen: Map<number, number>;
  call(method: string, route: string, options?: Call): Promise<Answer>;
  /** Bytes on a socket: what no client would send. Answers the status line's number, or 0 when the server hung up. */
  bytes(...parts: readonly (string | Uint8Array)[]): Promise<number>;
  stop(): Promise<void>;
}

export async function startContractFleet(regions: readonly RegionId[] = ['eu-west-1', 'us-east-1']): Promise<ContractFleet> {
  const stateDir = mkdtempSync(path.join(BASE, 'fleet-contract-'));
  const fleet = await startLocalFleet({ stateDir, regions, quiet: process.env['FLEET_TEST_LOGS'] === undefined });
  const seen = new Map<number, number>();
  const note = (status: number): number => {
    seen.set(status, (seen.get(status) ?? 0) + 1);
    return status;
  };
  const { port, hostname } = new URL(fleet.url);
  const keys = (JSON.parse(readFileSync(fleet.state.signingKeys, 'utf8')) as { keys: JWK[] }).keys;

  return {
    url: fleet.url,
    port: Number(port),
    admin: fleet.adminToken,
    stateDir,
    keys,
    seen,
    async call(method, route, { token, body, raw, headers } = {}) {
      const sent = raw ?? (body === undefined ? undefined : JSON.stringify(body));
      const response = await fetch(fleet.url + route, {
        method,
        headers: {
          ...(token === null ? {} : { authorization: `Bearer ${token ?? fleet.adminToken}` }),
          ...(sent === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(sent === undefined ? {} : { body: sent as BodyInit }),
      });
      const text = await response.text();
      const isJson = response.headers.get('content-type')?.includes('json') === true;
      return {
        status: note(response.status),
        text,
        headers: response.headers,
        json: isJson ? (JSON.parse(text) as Record<string, unknown>) : {},
      };
    },
    bytes: (...parts) =>
      new Promise((resolve) => {
        const socket = net.connect(Number(port), hostname);
        let answer = '';
        const done = (): void => {
          socket.destroy();
          resolve(note(Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? '0')));
        };
        socket.on('data', (chunk) => {
          answer += chunk.toString('latin1');
          if (answer.includes('\r\n\r\n')) done();
        });
        socket.on('error', done);
        socket.on('close', done);
        for (const part of parts) socket.write(part);
      }),
    async stop() {
      await fleet.stop();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}
