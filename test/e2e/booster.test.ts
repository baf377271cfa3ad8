import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AgentBooster, runAgent, type RunningAgent } from '../../client/src/index.ts';
import { run } from '../unit/client/cli/lib.ts';
import { startContractFleet, type ContractFleet } from './lib/contract-fleet.ts';

let fleet: ContractFleet;
const directory = mkdtempSync(path.join(tmpdir(), 'fleet-booster-'));
beforeAll(async () => {
  fleet = await startContractFleet(['eu-west-1', 'us-east-1']);
});
afterAll(async () => {
  await fleet.stop();
  rmSync(directory, { recursive: true, force: true });
});

const ORIGINAL = 'export function one() {\n  return 1;\n}\n\nexport function two() {\n  return 2;\n}\n';
const BLOCK = '<<<<<<< SEARCH\n  return 2;\n=======\n  return 22;\n>>>>>>> REPLACE\n';
const MERGED = ORIGINAL.replace('return 2;', 'return 22;');
const NOWHERE = '<<<<<<< SEARCH\n  return 3;\n=======\n  return 4;\n>>>>>>> REPLACE\n';
const task = (more: object = {}) => ({ operation: 'apply', path: 'a.ts', original: ORIGINAL, edit: BLOCK, ...more });
const post = (body: object, headers: Readonly<Record<string, string>> = {}) =>
  fleet.call('POST', '/v1/booster/tasks', { body, headers });
const cli = (...args: string[]) =>
  run(['booster', ...args], { cwd: directory, env: { FLEET_ENDPOINT: fleet.url, FLEET_TOKEN: fleet.admin } });
const file = (name: string, text: string): string => {
  const full = path.join(directory, name);
  writeFileSync(full, text);
  return full;
};

describe('the booster in a fleet', () => {
  it('B205: has twelve slots, and starts them as they are needed', async () => {
    const before = await fleet.call('GET', '/v1/booster/status');
    expect(before.json).toMatchObject({ slots: { max: 12, started: 0, busy: 0 }, unreachable: 0 });
    await Promise.all(Array.from({ length: 12 }, () => post({ tasks: Array.from({ length: 20 }, () => task()) })));
    const after = await fleet.call('GET', '/v1/booster/status');
    const { started } = after.json['slots'] as { started: number };
    expect(started).toBeGreaterThan(0);
    expect(started).toBeLessThanOrEqual(12);
    expect(after.json).toMatchObject({ operations: 240, done: 240, panics: 0 });
  });

  it('B206: applies an edit, and refuses one that has no place', async () => {
    const good = await post(task());
    expect(good).toMatchObject({ status: 200, json: { ok: true, output: MERGED } });
    expect(good.json['proofs']).toContain('parses');
    expect(await post(task({ edit: NOWHERE }))).toMatchObject({ status: 200, json: { ok: false, reason: 'not_found' } });
  });

  it('B207: a batch of a thousand files is done in one request', async () => {
    const tasks = Array.from({ length: 1_000 }, (_, i) => task({ original: `// file ${i}\n${ORIGINAL}` }));
    const { status, json } = await post({ tasks });
    const results = json['results'] as { status: number; body: { ok: boolean; output: string } }[];
    expect([status, results.length]).toEqual([200, 1_000]);
    expect(results.every(({ body }, i) => body.ok && body.output === `// file ${i}\n${MERGED}`)).toBe(true);
  });

  it('B208: what it leaves undone is an agent’s task, once for a key', async () => {
    const body = task({ edit: NOWHERE, fallback: { pool: 'coder' }, region: 'eu-west-1' });
    const first = await post(body, { 'idempotency-key': 'edit-1' });
    expect(first).toMatchObject({ status: 202, json: { reason: 'not_found', region: 'eu-west-1', pool: 'coder' } });
    const again = await post(body, { 'idempotency-key': 'edit-1' });
    expect([again.status, again.json['taskId'], again.headers.get('idempotency-replayed')]).toEqual([
      202,
      first.json['taskId'],
      'true',
    ]);
    expect((await post({ ...body, path: 'b.ts' }, { 'idempotency-key': 'edit-1' })).status).toBe(422);
    await fleet.call('DELETE', `/v1/tasks/${String(first.json['taskId'])}`);
  });

  it('B209: the caller of executeTask sees only who made it', async () => {
    const payloads: unknown[] = [];
    const agent: RunningAgent = runAgent({
      endpoint: fleet.url,
      token: fleet.admin,
      pool: 'coder',
      handler: async ({ payload }) => {
        payloads.push(payload);
        return { output: 'by hand' };
      },
    });
    const booster = new AgentBooster({ endpoint: fleet.url, token: fleet.admin, fallbackPool: 'coder' });
    try {
      await booster.initialize();
      const own = await booster.executeTask({ operation: 'apply', path: 'a.ts', original: ORIGINAL, edit: BLOCK });
      expect(own).toMatchObject({ ok: true, output: MERGED, madeBy: { kind: 'booster', cached: false } });
      const agents = await booster.executeTask({ operation: 'apply', path: 'a.ts', original: ORIGINAL, edit: NOWHERE });
      expect(agents).toMatchObject({ ok: true, output: 'by hand', madeBy: { kind: 'agent', pool: 'coder' } });
      expect(payloads).toMatchObject([
        { operation: 'apply', original: ORIGINAL, edit: NOWHERE, booster: { reason: 'not_found' } },
      ]);
    } finally {
      await booster.shutdown();
      await agent.stop();
    }
  });

  it('B299: tools for fast-apply models are served', async () => {
    const content = `<instruction>I double it</instruction>\n<code>${ORIGINAL}</code>\n<update>${BLOCK}</update>`;
    const chat = await fleet.call('POST', '/v1/chat/completions', {
      body: { model: 'm', messages: [{ role: 'user', content }] },
    });
    expect(chat).toMatchObject({ status: 200, json: { choices: [{ message: { content: MERGED } }] } });
    const unsure = await fleet.call('POST', '/v1/apply', { body: { code: ORIGINAL, update: NOWHERE } });
    expect(unsure).toMatchObject({ status: 422, json: { error: { code: 'unsure', reason: 'not_found' } } });
  });

  it('the metrics and the report count it', async () => {
    const report = await fleet.call('GET', '/v1/booster/report');
    expect(report.json['operations']).toHaveProperty('apply.p99Ms');
    const metrics = await fleet.call('GET', '/metrics');
    expect(metrics.text).toMatch(/fleet_booster_slots\{.*state="idle".*\} \d/);
    expect(metrics.text).toMatch(/fleet_booster_refusals\{.*reason="not-found".*\} [1-9]/);
  });
});

describe('fleet booster', () => {
  it('writes a merged file whole, keeps its mode, and follows a link', async () => {
    const target = file('apply.ts', ORIGINAL);
    const link = path.join(directory, 'link.ts');
    symlinkSync(target, link);
    file('edit.txt', BLOCK);
    const ran = await cli('apply', 'link.ts', 'edit.txt');
    expect([ran.code, ran.stdout]).toEqual([0, 'link.ts\n']);
    expect(ran.stderr).toContain('proved');
    expect(readFileSync(target, 'utf8')).toBe(MERGED);
    expect(statSync(target).mode & 0o777).toBe(0o644);
  });

  it('with --dry-run prints the difference and writes nothing; - is standard input', async () => {
    const target = file('dry.ts', ORIGINAL);
    const ran = await run(['booster', 'apply', 'dry.ts', '-', '--dry-run'], {
      cwd: directory,
      env: { FLEET_ENDPOINT: fleet.url, FLEET_TOKEN: fleet.admin },
      input: BLOCK,
    });
    expect(ran.code).toBe(0);
    expect(ran.stdout).toContain('-  return 2;\n+  return 22;');
    expect(readFileSync(target, 'utf8')).toBe(ORIGINAL);
  });

  it('refuses with exit code 1 and leaves the file alone', async () => {
    const target = file('refused.ts', ORIGINAL);
    file('nowhere.txt', NOWHERE);
    const ran = await cli('apply', 'refused.ts', 'nowhere.txt');
    expect([ran.code, ran.stdout]).toEqual([1, '']);
    expect(ran.stderr).toContain('not_found');
    expect(readFileSync(target, 'utf8')).toBe(ORIGINAL);
  });

  it('checks a directory: exit code 1 when there are errors', async () => {
    const sources = path.join(directory, 'src');
    mkdirSync(path.join(sources, 'node_modules'), { recursive: true });
    writeFileSync(path.join(sources, 'good.py'), 'x = 1\n');
    writeFileSync(path.join(sources, 'node_modules', 'bad.js'), 'let = = ;');
    expect(await cli('check', 'src')).toMatchObject({ code: 0, stdout: '\n' });
    writeFileSync(path.join(sources, 'bad.js'), 'let a = ;\n');
    const ran = await cli('check', 'src');
    expect(ran.code).toBe(1);
    expect(ran.stdout).toMatch(/^src\/bad\.js:1:\d+ .+\n$/);
    expect(ran.stderr).toContain('2 files, 1 with errors');
  });

  it.each([
    [['outline', 'apply.ts'], /function one/],
    [['search', 'return $X', 'apply.ts'], /apply\.ts:2:3 return 1/],
    [['metrics', 'apply.ts'], /"functionCount": 2/],
    [['query', '(function_declaration name: (identifier) @name)', 'apply.ts'], /"text": "two"/],
    [['diff', 'apply.ts', 'refused.ts'], /-  return 22;/],
    [['status'], /slots +\d+ of 12 started/],
    [['report'], /apply +\d+/],
  ])('%j prints what it should', async (args, expected) => {
    const ran = await cli(...args);
    expect([ran.stderr, ran.code]).toEqual(['', 0]);
    expect(ran.stdout).toMatch(expected);
  });

  it.each([
    ['a file that is not there', ['apply', 'nowhere.ts', 'edit.txt']],
    ['standard input as the file to write', ['apply', '-', 'edit.txt']],
    ['a bad place', ['rename', 'apply.ts', 'one', 'uno', '--at', 'x']],
    ['nothing to do', ['imports', 'apply.ts']],
    ['a style that is none', ['apply', 'apply.ts', 'edit.txt', '--style', 'guess']],
  ])('%s exits 2', async (_, args) => {
    expect((await cli(...args)).code).toBe(2);
  });
});
