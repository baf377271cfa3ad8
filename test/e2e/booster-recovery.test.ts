import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LocalFleet, startLocalFleet } from '../../scripts/local/fleet.ts';
import { faultyBooster } from '../lib/booster-faults/plugin.ts';
import { failing, HOSTILE, sound } from '../lib/booster-faults/sources.ts';

let fleet: LocalFleet;
const stateDir = mkdtempSync(path.join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'fleet-recovery-'));
beforeAll(async () => {
  fleet = await startLocalFleet({ stateDir, regions: ['eu-west-1'], plugins: [faultyBooster], quiet: true });
});
afterAll(async () => {
  await fleet.stop();
  rmSync(stateDir, { recursive: true, force: true });
});

interface Answer {
  readonly status: number;
  readonly json: Record<string, unknown>;
}
async function call(method: string, route: string, body?: object): Promise<Answer> {
  const response = await fetch(fleet.url + route, {
    method,
    headers: { authorization: `Bearer ${fleet.adminToken}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, json: await response.json() };
}
const run = (body: object): Promise<Answer> => call('POST', '/v1/booster/tasks', body);
const fallback = { pool: 'coder' };
interface Status {
  readonly panics: number;
  readonly recycled: number;
  readonly slots: { readonly started: number };
}
const status = async (): Promise<Status> => (await call('GET', '/v1/booster/status')).json as unknown as Status;

describe('recovery in workerd, from real faults', () => {
  it.each(['panic', 'memory'] as const)(
    'B246: a %s is detected, the instance replaced, the task given to an agent, and the next operation is right',
    async (how) => {
      const right = await run(sound());
      const before = await status();
      const fault = await run({ ...failing(how), fallback });
      expect(fault).toMatchObject({ status: 202, json: { reason: 'fault', pool: 'coder', region: 'eu-west-1' } });
      const task = await call('GET', `/v1/tasks/${String(fault.json['taskId'])}`);
      expect(task.json).toMatchObject({ status: 'queued', pool: 'coder' });
      expect(await run(sound())).toEqual(right);
      const after = await status();
      expect(after.panics).toBe(before.panics + 1);
      expect(after.slots.started).toBe(before.slots.started);
    },
  );

  it('B247: without a fallback the fault is told, and the input is as it was', async () => {
    expect(await run(failing('panic'))).toMatchObject({ status: 200, json: { ok: false, reason: 'fault' } });
  });

  it('B248: an exhausted budget is a refusal, and its instance is not trusted again', async () => {
    const before = await status();
    const hostile = { operation: 'check', path: 'a.ts', original: HOSTILE, fallback };
    expect(await run(hostile)).toMatchObject({ status: 202, json: { reason: 'budget' } });
    expect((await status()).recycled).toBe(before.recycled + 1);
    expect(await run(sound())).toMatchObject({ json: { ok: true } });
  });

  it('B249: under load only the failing operations fail', async () => {
    const before = await status();
    const batches = Array.from({ length: 8 }, (_, b) =>
      Array.from({ length: 25 }, (_, i) =>
        i % 5 === 0 ? { ...failing(i % 2 === 0 ? 'panic' : 'memory', b), fallback } : sound(i),
      ),
    );
    const answers = await Promise.all(batches.map((tasks) => run({ tasks })));
    for (const { json } of answers) {
      const results = json['results'] as { status: number; body: { ok?: boolean; reason?: string } }[];
      for (const [i, { status: code, body }] of results.entries()) {
        if (i % 5 === 0) expect([code, body.reason]).toEqual([202, 'fault']);
        else expect([code, body.ok]).toEqual([200, true]);
      }
    }
    expect((await status()).panics).toBe(before.panics + 40);
  });
});
