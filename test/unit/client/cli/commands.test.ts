import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { VERSION } from '../../../../client/src/version.ts';
import manifest from '../../../../client/package.json' with { type: 'json' };
import { FakeFleet, type Handler, agentBody, allocationBody, inTurn, problem, taskBody } from '../lib/fake-fleet.ts';
import { type RunOptions, emptyDirectory, run } from './lib.ts';

// Each test starts processes, on machines that may be busy.
vi.setConfig({ testTimeout: 30_000 });

let fake: FakeFleet;
beforeEach(async () => {
  fake = await FakeFleet.start(() => problem(404, 'not_found'));
});
afterEach(() => fake.stop());

const fleet = (args: readonly string[], options: RunOptions = {}) =>
  run(args, { ...options, env: { FLEET_ENDPOINT: fake.url, FLEET_TOKEN: 'secret', ...options.env } });
const answer = (handler: Handler) => {
  fake.handler = handler;
};

describe('usage', () => {
  test('version and help succeed', async () => {
    await expect(run(['--version'])).resolves.toMatchObject({ code: 0, stdout: `${VERSION}\n` });
    expect(manifest.version).toBe(VERSION);
    const help = await run(['agent', '--help']);
    expect(help).toMatchObject({ code: 0, stderr: '' });
    expect(help.stdout).toMatch(/Global Options.*FLEET_TASK_ID/s);
  });

  // Nothing of this may get as far as asking: exit code 1 would mean that it did.
  test.concurrent.each([
    ['no command', []],
    ['an unknown command', ['statsu']],
    ['an unknown option', ['status', '--no-such']],
    ['a missing argument', ['submit']],
    ['a missing required option', ['agent', '--', 'true']],
    ['a bad choice', ['status', '-o', 'yaml']],
    ['a bad number', ['scale', 'coder', 'many']],
    ['a bad duration', ['allocate', 'coder', '--lease', 'soon']],
    ['a bad label', ['agent', '--pool', 'coder', '--label', 'x', '--', 'true']],
    ['no payload', ['submit', 'coder']],
    ['two payloads', ['submit', 'coder', '--payload', 'a', '--payload-text', 'b']],
    ['JSON that is none', ['submit', 'coder', '--payload-json', '{']],
    ['a file that is not there', ['submit', 'coder', '--payload', '@nowhere']],
    ['a program that is not there', ['agent', '--pool', 'coder', '--', 'no-such-program']],
    ['a bad endpoint', ['status', '--endpoint', 'localhost:1']],
    ['an unknown profile', ['status', '--profile', 'work']],
    ['an unknown role', ['token', 'create', '--role', 'king']],
  ])('%s exits 2 and says so', async (_, args) => {
    const ran = await run(args, { env: { FLEET_ENDPOINT: 'http://127.0.0.1:9', FLEET_TOKEN: 'secret' } });
    expect(ran.code).toBe(2);
    expect(ran.stderr).not.toBe('');
  });

  test('without any fleet it says how to get one', async () => {
    const ran = await run(['status']);
    expect(ran.code).toBe(2);
    expect(ran.stderr).toMatch(/No fleet found.*npm start/);
  });
});

describe('which fleet', () => {
  const withProfiles = (profiles: Record<string, unknown>, profile?: string): { cwd: string } => {
    const cwd = emptyDirectory();
    mkdirSync(path.join(cwd, '.config', 'fleet'), { recursive: true });
    writeFileSync(path.join(cwd, '.config', 'fleet', 'config.json'), JSON.stringify({ profile, profiles }));
    return { cwd };
  };
  const seen = () => fake.seen.map(({ headers, query }) => [headers.authorization, query.get('region')]);
  beforeEach(() => answer(() => ({ body: { data: [] } })));

  test('the environment', async () => {
    await fleet(['agents'], { env: { FLEET_REGION: 'eu-west-1' } });
    expect(seen()).toEqual([['Bearer secret', 'eu-west-1']]);
  });

  test('flags go before the environment', async () => {
    await fleet(['agents', '--token', 'flag', '--region', 'us-east-1', '--endpoint', fake.url], {
      env: { FLEET_REGION: 'eu-west-1', FLEET_ENDPOINT: 'http://127.0.0.1:9' },
    });
    expect(seen()).toEqual([['Bearer flag', 'us-east-1']]);
  });

  test('a profile, by name or by default', async () => {
    const options = withProfiles({ work: { endpoint: fake.url, token: 'profile', region: 'ap-southeast-1' } }, 'work');
    await run(['agents'], options);
    await run(['agents', '--profile', 'work'], options);
    await run(['agents'], {
      ...withProfiles({ work: { endpoint: fake.url, token: 'profile' } }),
      env: { FLEET_PROFILE: 'work' },
    });
    expect(seen()).toEqual([
      ['Bearer profile', 'ap-southeast-1'],
      ['Bearer profile', 'ap-southeast-1'],
      ['Bearer profile', null],
    ]);
  });

  test('the environment goes before a profile, and its token does not travel', async () => {
    const options = withProfiles({ work: { endpoint: 'http://127.0.0.1:9', token: 'profile', region: 'ap-southeast-1' } });
    const ran = await run(['agents', '--profile', 'work'], { ...options, env: { FLEET_ENDPOINT: fake.url } });
    expect(ran.stderr).toContain('FLEET_ENDPOINT is set and goes before the profile');
    expect(seen()).toEqual([[undefined, 'ap-southeast-1']]);
  });

  test('the local fleet of the directory, last', async () => {
    const cwd = emptyDirectory();
    mkdirSync(path.join(cwd, '.fleet'));
    writeFileSync(path.join(cwd, '.fleet', 'endpoint'), JSON.stringify({ url: fake.url, pid: process.pid }));
    writeFileSync(path.join(cwd, '.fleet', 'admin-token'), 'local\n');
    await expect(run(['agents'], { cwd })).resolves.toMatchObject({ code: 0 });
    expect(seen()).toEqual([['Bearer local', null]]);
  });
});

describe('output', () => {
  test('tables are plain text without colours in a pipe', async () => {
    answer(() => ({
      body: {
        data: [agentBody('agt.1', { capabilities: ['typescript', 'go'] }), agentBody('agt.22', { status: 'busy', slotsFree: 0 })],
      },
    }));
    const { stdout, code } = await fleet(['agents'], { env: { FORCE_COLOR: '1', CI: 'true' } });
    expect(code).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(lines[0]).toMatch(/^id {6}status {2}free {2}done {2}failed {2}seen {2,}capabilities$/);
    expect(lines[1]).toMatch(/^agt\.1 {3}idle {4}1\/1 .* typescript go$/);
    expect(lines).toHaveLength(3);
    expect(stdout).not.toContain('\u001b');
  });

  test('what others wrote cannot steer the terminal', async () => {
    answer(() => ({ body: { data: [taskBody('tsk.1', 'failed', { error: { code: 'x', message: '\u001b[2Jgotcha' } })] } }));
    const { stdout } = await fleet(['tasks']);
    expect(stdout).toContain('gotcha');
    expect(stdout).not.toContain('\u001b');
  });

  test('-o json before or after the command is the API’s own JSON', async () => {
    answer(() => ({ body: { data: [agentBody('agt.1')] } }));
    for (const args of [
      ['-o', 'json', 'agents'],
      ['agents', '-o', 'json'],
    ]) {
      expect(JSON.parse((await fleet(args)).stdout)).toEqual([agentBody('agt.1')]);
    }
  });

  test('a refusal exits 1 with code, detail and request id on standard error', async () => {
    const why = { agents: 2, eligible: 0, failed: [{ predicate: 'capabilities', agents: 2 }], detail: 'No agent has rust.' };
    answer(() => problem(409, 'no_capacity', { why }));
    const ran = await fleet(['allocate', 'coder', '--capability', 'rust']);
    expect(ran).toMatchObject({ code: 1, stdout: '' });
    expect(ran.stderr).toMatch(
      /error It is no_capacity.\n.*No agent has rust.*2 fail capabilities.*code no_capacity, status 409, request req-1/s,
    );
  });

  test('with -o json it is the problem itself', async () => {
    answer(() => problem(422, 'validation_failed', { errors: [{ path: 'pool', message: 'is required' }] }));
    const ran = await fleet(['agents', '-o', 'json']);
    expect(ran.code).toBe(1);
    expect(JSON.parse(ran.stderr)).toMatchObject({
      code: 'validation_failed',
      requestId: 'req-1',
      errors: [{ path: 'pool', message: 'is required' }],
    });
  });

  test('a fleet that cannot be reached is a failure, not a usage error', async () => {
    const ran = await run(['status', '--endpoint', 'http://127.0.0.1:9']);
    expect(ran.code).toBe(1);
    expect(ran.stderr).toContain('Cannot reach the fleet at http://127.0.0.1:9');
  });
});

describe('submit-batch', () => {
  test('sends an array as it is; what was refused shows, and fails the command', async () => {
    answer(({ method }) =>
      method === 'POST'
        ? {
            body: {
              results: [
                { status: 202, body: taskBody('tsk.1') },
                {
                  status: 422,
                  problem: { code: 'validation_failed', status: 422, detail: 'dependsOn: is part of a cycle: b → b' },
                },
              ],
            },
          }
        : { body: taskBody('tsk.1', 'succeeded') },
    );
    const tasks = [
      { ref: 'a', pool: 'coder', payload: 1 },
      { ref: 'b', pool: 'coder', payload: 2, dependsOn: ['b'] },
    ];
    const ran = await fleet(['submit-batch', '@-', '--wait'], { input: JSON.stringify(tasks) });
    expect(ran.code).toBe(1);
    expect(ran.stdout).toMatch(/a\s+tsk\.1\s+succeeded/);
    expect(ran.stdout).toMatch(/b\s+validation_failed\s+.*a cycle: b → b/);
    expect(fake.to('POST /v1/tasks/batch').map(({ body }) => body)).toMatchObject([{ tasks }]);
    await expect(fleet(['submit-batch', '{"pool":"coder"}'])).resolves.toMatchObject({ code: 2 });
  });
});

describe('submit', () => {
  const payloads = () => fake.to('POST /v1/tasks').map(({ body }) => (body as { payload: unknown }).payload);
  beforeEach(() =>
    answer(({ method }) =>
      method === 'POST' ? { status: 202, body: taskBody('tsk.1') } : { body: taskBody('tsk.1', 'succeeded', { result: 42 }) },
    ),
  );

  test('prints the id', async () => {
    await expect(fleet(['submit', 'coder', '--payload', 'hello'])).resolves.toMatchObject({
      code: 0,
      stdout: 'tsk.1\n',
      stderr: '',
    });
  });

  test('a payload is JSON if it is JSON, a file is text', async () => {
    const cwd = emptyDirectory();
    writeFileSync(path.join(cwd, 'data.json'), '{"a":1}\n');
    for (const args of [
      ['--payload', '{"a":1}'],
      ['--payload', 'hello'],
      ['--payload', '@data.json'],
      ['--payload-json', '@data.json'],
      ['--payload-text', '42'],
      ['--payload', '-1'],
    ]) {
      await fleet(['submit', 'coder', ...args], { cwd });
    }
    await fleet(['submit', 'coder', '--payload', '@-'], { input: 'from a pipe' });
    expect(payloads()).toEqual([{ a: 1 }, 'hello', '{"a":1}\n', { a: 1 }, '42', -1, 'from a pipe']);
  });

  test('a file that is too large or no text is refused here', async () => {
    const cwd = emptyDirectory();
    writeFileSync(path.join(cwd, 'large'), 'x'.repeat(1_048_577));
    writeFileSync(path.join(cwd, 'binary'), Buffer.from([0xff, 0xfe, 0x00]));
    await expect(fleet(['submit', 'coder', '--payload', '@large'], { cwd })).resolves.toMatchObject({
      code: 2,
      stderr: expect.stringContaining('1048577 bytes'),
    });
    await expect(fleet(['submit', 'coder', '--payload', '@binary'], { cwd })).resolves.toMatchObject({
      code: 2,
      stderr: expect.stringContaining('not UTF-8'),
    });
  });

  test('all options reach the fleet', async () => {
    await fleet([
      'submit',
      'coder',
      '--payload',
      'x',
      '--capability',
      'ts,go',
      '--capability',
      'rust',
      '--selector',
      'gpu=yes',
      '--priority',
      '9',
      '--max-attempts',
      '1',
      '--timeout',
      '5m',
      '--deadline',
      '1h',
      '--delay',
      '500ms',
      '--depends-on',
      'tsk.0',
      '--fairness-key',
      'acme',
      '--metadata',
      '{"pr":7}',
      '--residency',
      'eu',
      '--region',
      'eu-west-1',
      '--idempotency-key',
      'k1',
    ]);
    expect(fake.seen[0]?.headers['idempotency-key']).toBe('k1');
    expect(fake.seen[0]?.body).toEqual({
      pool: 'coder',
      payload: 'x',
      capabilities: ['ts', 'go', 'rust'],
      selectors: [{ matchLabels: { gpu: 'yes' } }],
      priority: 9,
      maxAttempts: 1,
      timeoutMs: 300_000,
      deadlineMs: 3_600_000,
      delayMs: 500,
      dependsOn: ['tsk.0'],
      fairnessKey: 'acme',
      metadata: { pr: 7 },
      residency: { allowed: ['eu'], enforcement: 'strict' },
      region: 'eu-west-1',
    });
  });

  test.each([
    ['text as text', 'two\nlines', 'two\nlines\n'],
    ['JSON as JSON', { lines: 7 }, '{\n  "lines": 7\n}\n'],
    ['a number', 42, '42\n'],
    ['nothing as null', undefined, 'null\n'],
  ])('--wait prints the result alone: %s', async (_, result, stdout) => {
    answer(({ method }) =>
      method === 'POST' ? { status: 202, body: taskBody('tsk.1') } : { body: taskBody('tsk.1', 'succeeded', { result }) },
    );
    await expect(fleet(['submit', 'coder', '--payload', 'x', '--wait'])).resolves.toEqual({ code: 0, stdout, stderr: '' });
  });

  test('--wait exits 1 when the task did not succeed', async () => {
    const error = { code: 'agent_error', message: 'no luck' };
    answer(({ method }) =>
      method === 'POST' ? { status: 202, body: taskBody('tsk.1') } : { body: taskBody('tsk.1', 'dead', { error }) },
    );
    const ran = await fleet(['submit', 'coder', '--payload', 'x', '--wait']);
    expect(ran).toMatchObject({ code: 1, stdout: '' });
    expect(ran.stderr).toContain('dead tsk.1: no luck (agent_error)');
    const asJson = await fleet(['submit', 'coder', '--payload', 'x', '--wait', '-o', 'json']);
    expect(asJson.code).toBe(1);
    expect(JSON.parse(asJson.stdout)).toMatchObject({ status: 'dead', error });
  });

  test('--wait-timeout ends the wait, not the task', async () => {
    answer(({ method }) => (method === 'POST' ? { status: 202, body: taskBody('tsk.1') } : 'hang'));
    const ran = await fleet(['submit', 'coder', '--payload', 'x', '--wait', '--wait-timeout', '100ms']);
    expect(ran.code).toBe(1);
    expect(fake.to('DELETE /v1/tasks/tsk.1')).toEqual([]);
  }, 30_000);
});

describe('the others', () => {
  const revocation = {
    complete: true,
    unanswered: [],
    revoked: 3,
    requeued: 1,
    cancelled: 0,
    quarantined: 0,
    acknowledged: 1,
    unacknowledged: 1,
    agents: [
      { agentId: 'agt.1', pool: 'coder', region: 'eu-west-1', leases: 2, liveness: 'heartbeat', acknowledged: false },
      { agentId: 'agt.2', pool: 'coder', region: 'eu-west-1', leases: 1, liveness: 'session', acknowledged: true, by: 'session' },
    ],
    agentsOmitted: 0,
    shards: [],
  };

  test('revoke says what was ended and who has acknowledged', async () => {
    answer(() => ({ body: revocation }));
    const ran = await fleet(
      ['revoke', '--agent', 'agt.1,agt.2', '--selector', 'zone=north', '--reason', 'leaked', '--cancel-tasks'],
      {
        // Where one looks by default must not narrow a kill switch.
        env: { FLEET_REGION: 'us-east-1' },
      },
    );
    expect(ran).toMatchObject({ code: 0, stderr: expect.stringContaining('1 agents have not acknowledged') });
    expect(ran.stdout).toMatch(/leases revoked +3.*acknowledged +1 of 2.*agt\.1 +2 +no.*agt\.2 +1 +yes, by session/s);
    const [asked] = fake.to('POST /v1/allocations/revoke');
    expect(asked?.body).toEqual({
      agentIds: ['agt.1', 'agt.2'],
      selectors: [{ matchLabels: { zone: 'north' } }],
      reason: 'leaked',
      tasks: 'cancel',
    });
    expect(asked?.headers['idempotency-key']).toBeDefined();
    await fleet(['revoke', '--all', '--reason', 'stop', '--quarantine', '--wait', '1s', '--region', 'eu-west-1', '-o', 'json']);
    expect(fake.to('POST /v1/allocations/revoke')[1]?.body).toMatchObject({ all: true, region: 'eu-west-1', waitMs: 1_000 });
  });

  test('a revocation that is not complete fails, after saying what was done', async () => {
    const unanswered = [{ region: 'us-east-1' }];
    answer(() => problem(503, 'revoke_incomplete', { revocation: { ...revocation, complete: false, unanswered } }));
    const ran = await fleet(['revoke', '--all', '--reason', 'stop']);
    expect(ran).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('leases revoked'),
      stderr: expect.stringContaining('revoke_incomplete'),
    });
    // Repeated under the same key, so that what is done is not done again.
    const keys = new Set(fake.to('POST /v1/allocations/revoke').map(({ headers }) => headers['idempotency-key']));
    expect([fake.to('POST /v1/allocations/revoke').length > 1, keys.size]).toEqual([true, 1]);
  });

  test('quota shows, sets and clears the lease quota, and leaves the other settings', async () => {
    answer(({ method, body }) => ({
      body: method === 'PUT' ? body : { maxAgents: 5, leaseQuota: { perCaller: 2 } },
    }));
    expect((await fleet(['quota'])).stdout).toContain('2 leases per caller');
    await fleet(['quota', 'set', '7']);
    expect((await fleet(['quota', 'clear'])).stdout).toContain('no lease quota');
    expect(fake.to('PUT /v1/fleet').map(({ body }) => body)).toEqual([
      { maxAgents: 5, leaseQuota: { perCaller: 7 } },
      { maxAgents: 5 },
    ]);
  });

  test('allocate and release', async () => {
    answer(() => ({ status: 201, body: allocationBody('alc.1') }));
    const held = await fleet(['allocate', 'coder', '--lease', '1m', '--wait', '2s', '--slots', '2']);
    expect(held).toMatchObject({ code: 0, stderr: expect.stringContaining('fleet release alc.1') });
    expect(held.stdout).toMatch(/fencing token +7/);
    expect(fake.seen[0]?.body).toEqual({ pool: 'coder', leaseMs: 60_000, waitMs: 2_000, slots: 2 });
    await expect(fleet(['release', 'alc.1', '--failed', '--error', 'broke'])).resolves.toMatchObject({
      code: 0,
      stdout: 'alc.1 released\n',
    });
    expect(fake.to('POST /v1/allocations/alc.1/release')[0]?.body).toEqual({
      fencingToken: 7,
      result: { success: false, error: 'broke' },
    });
  });

  test('task show, why, cancel, replay', async () => {
    answer(({ path: at }) =>
      at.endsWith('/why')
        ? { body: { agents: 1, eligible: 0, failed: [], position: 3, detail: 'Busy.' } }
        : { body: taskBody('tsk.1', 'cancelled', { progress: { at: 7 } }) },
    );
    expect((await fleet(['task', 'show', 'tsk.1'])).stdout).toMatch(/status +cancelled\n.*progress +{"at":7}/s);
    expect((await fleet(['task', 'why', 'tsk.1'])).stdout).toBe('Busy.\n\nposition  3\nagents    1 in the pool, 0 free for it\n');
    expect((await fleet(['task', 'cancel', 'tsk.1'])).code).toBe(0);
    expect((await fleet(['task', 'replay', 'tsk.1'])).stdout).toBe('tsk.1\n');
    expect(fake.seen.map(({ method, path: at }) => `${method} ${at}`)).toEqual([
      'GET /v1/tasks/tsk.1',
      'GET /v1/tasks/tsk.1/why',
      'DELETE /v1/tasks/tsk.1',
      'POST /v1/tasks/tsk.1/replay',
    ]);
  });

  test('why, and allocate --explain, show what stands in the way as tables', async () => {
    const why = {
      agents: 3,
      eligible: 0,
      needed: 1,
      matching: 2,
      fitting: 1,
      failed: [{ predicate: 'freeSlots', agents: 2 }],
      nearMisses: [{ agentId: 'agt.1', failed: [{ predicate: 'freeSlots', detail: 'full until then' }] }],
      position: 2,
      estimatedStartAtMs: Date.UTC(2026, 0, 5),
      limitedBy: { scope: 'pool', limit: 3, inUse: 3 },
      waitsFor: { for: 'agent', untilMs: Date.UTC(2026, 0, 6) },
      detail: 'All are taken.',
    };
    answer(() => ({ body: why }));
    const text = `All are taken.

position      2
starts about  2026-01-05T00:00:00.000Z
waits for     agent
until         2026-01-06T00:00:00.000Z
limited by    pool (3 of 3)
agents        3 in the pool, 2 with what is asked for, 1 ready for it, 0 free for it, 1 needed

fails      agents
freeSlots       2

nearest  because
agt.1    full until then
`;
    expect((await fleet(['why', 'tsk.1'])).stdout).toBe(text);
    expect((await fleet(['allocate', 'coder', '--explain'])).stdout).toBe(text);
    expect(JSON.parse((await fleet(['why', 'tsk.1', '-o', 'json'])).stdout)).toEqual(why);
    expect(fake.seen.map(({ method, path: at }) => `${method} ${at}`)).toContain('POST /v1/allocations/explain');
  });

  test('scale, pools set, token create and revoke', async () => {
    answer(
      inTurn(
        { body: { desired: 10, limitedBy: 'max' } },
        { status: 201, body: {} },
        { status: 201, body: { id: 'tok.1', token: 'jwt', expiresAtMs: 1 } },
        { status: 204 },
      ),
    );
    expect((await fleet(['scale', 'coder', '50', '--reason', 'launch', '--region', 'eu-west-1'])).stdout).toBe(
      "coder eu-west-1: 10 desired (held by the pool's maximum)\n",
    );
    expect((await fleet(['pools', 'set', 'gpu', '--min', '0', '--max', '9'])).code).toBe(0);
    expect(await fleet(['token', 'create', '--role', 'viewer', '--expires', '7d'])).toMatchObject({ code: 0, stdout: 'jwt\n' });
    expect((await fleet(['token', 'revoke', 'tok.1'])).code).toBe(0);
    expect(fake.seen.map(({ body }) => body)).toEqual([
      { targetSize: 50, reason: 'launch', region: 'eu-west-1' },
      { minAgents: 0, maxAgents: 9, priority: 5 },
      { role: 'viewer', expiresInMs: 604_800_000 },
      undefined,
    ]);
  });

  test('watch goes on when the fleet does not answer', async () => {
    const counts = { total: 0, starting: 0, idle: 0, busy: 0, draining: 0, unhealthy: 0, quarantined: 0, offline: 0 };
    const tasks = { queued: 0, assigned: 0, running: 0, succeeded: 0, failed: 0, cancelled: 0, dead: 0 };
    answer(
      inTurn(problem(500, 'internal'), {
        body: {
          fleet: 'acme',
          agents: counts,
          tasks,
          pools: [],
          regions: { 'eu-west-1': { agents: counts, tasks, asOfMs: 1, fresh: false } },
        },
      }),
    );
    const { code, stdout } = await fleet(['watch', '--interval', '100ms', '--count', '2']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/no answer It is internal.*acme {2}0 agents.*eu-west-1 .*stale/s);
  });

  test('doctor finds what is wrong and says how to mend it', async () => {
    const token = `x.${Buffer.from(JSON.stringify({ role: 'admin', exp: 4_000_000_000 })).toString('base64url')}.x`;
    answer(({ path: at }) =>
      at === '/openapi.json'
        ? { body: { info: { version: '1' } } }
        : at === '/v1/fleet/status'
          ? problem(401, 'unauthorized')
          : { body: {} },
    );
    const sick = await fleet(['doctor'], { env: { FLEET_TOKEN: token } });
    expect(sick.code).toBe(1);
    expect(sick.stdout).toMatch(
      /^ok +node.*\nok +endpoint.*environment\)\nok +reachable.*\nok +version +client 0\.1\.0 speaks protocol 1, the fleet 1\nbad +token.*\n +→ mint another/,
    );
    answer(({ path: at }) =>
      at === '/v1/fleet/status'
        ? { body: { fleet: 'acme', regions: { 'eu-west-1': { fresh: true, asOfMs: Date.now() + 60_000 } } } }
        : { body: { info: {} } },
    );
    const well = await fleet(['doctor', '-o', 'json'], { env: { FLEET_TOKEN: token } });
    expect(well.code).toBe(0);
    const findings = JSON.parse(well.stdout) as { name: string; state: string; detail: string }[];
    expect(findings.find(({ name }) => name === 'clock')).toMatchObject({
      state: 'warn',
      detail: expect.stringMatching(/^\d+ s behind/),
    });
    expect(findings.find(({ name }) => name === 'token')).toMatchObject({
      state: 'ok',
      detail: expect.stringMatching(/^admin of fleet acme/),
    });
  });

  test('doctor without a fleet says how to get one', async () => {
    const ran = await run(['doctor']);
    expect(ran.code).toBe(1);
    expect(ran.stdout).toMatch(/bad +endpoint.*npm start/);
  });
});
