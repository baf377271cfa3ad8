import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FleetManager } from '../../client/src/fleet-manager.ts';
import { ROOT } from '../../scripts/checks.ts';
import type { Summary } from '../../scripts/demo/summary.ts';
import { type LocalFleet, startLocalFleet } from '../../scripts/local/fleet.ts';

const FILES = 20;
const FRESH_RUN_MS = 90_000;

let base = '';
let sources = '';
let fleet: LocalFleet | undefined;

beforeAll(async () => {
  base = mkdtempSync(path.join(tmpdir(), 'demo-e2e-'));
  sources = path.join(base, 'sources');
  mkdirSync(sources);
  for (let i = 0; i < FILES - 3; i++) {
    const body = Array.from({ length: 5 + i }, (_, n) => `  if (a${n} > ${n}) return ${n * i};`).join('\n');
    writeFileSync(path.join(sources, `module-${i}.ts`), `import { a } from './a.ts';\n\nexport function f${i}() {\n${body}\n}\n`);
  }
  writeFileSync(path.join(sources, 'broken.ts'), 'const a = 1;\nconst b = ;\n');
  writeFileSync(path.join(sources, 'data.json'), '{"a": 1}');
  writeFileSync(path.join(sources, 'main.go'), 'func main() {}\n');
  writeFileSync(path.join(sources, 'notes.txt'), 'no source');
  fleet = await startLocalFleet({ stateDir: path.join(base, 'state'), quiet: true, boosters: 0 });
});

afterAll(async () => {
  await fleet?.stop();
  rmSync(base, { recursive: true, force: true });
});

/** The demo in a process of its own, which finds no other fleet than the one in `stateDir`, and only that directory for its files. */
function demo(args: readonly string[], stateDir: string, temporary: string): ChildProcess {
  mkdirSync(temporary, { recursive: true });
  const { FLEET_ENDPOINT: _, FLEET_TOKEN: __, ...env } = process.env;
  return spawn(process.execPath, [path.join(ROOT, 'scripts/demo.ts'), sources, '--agents', '6', '--json', ...args], {
    env: { ...env, FLEET_STATE_DIR: stateDir, XDG_CONFIG_HOME: path.join(base, 'config'), TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function endOf(child: ChildProcess, onStderr: (text: string) => void = () => undefined): Promise<Ended> {
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => onStderr((stderr += chunk)));
  return new Promise((resolve) => {
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}

const processesNaming = (text: string): string[] =>
  execFileSync('ps', ['-A', '-o', 'args'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes(text));

test('on a fleet that runs: every task once, the killed agent recovered from, and nothing left behind', async () => {
  const { url, adminToken, state } = fleet!;
  const manager = new FleetManager({ endpoint: url, token: adminToken });
  const poolsBefore = await manager.listPools();
  const temporary = path.join(base, 'tmp-running');
  const { code, stdout, stderr } = await endOf(demo([], state.root, temporary));
  expect({ code, stderr }).toMatchObject({ code: 0 });

  const summary = JSON.parse(stdout) as Summary;
  expect(summary).toMatchObject({
    ok: true,
    problems: [],
    fleet: { endpoint: url },
    files: { analysed: FILES },
    agents: { processes: 6, commands: 2, poolsRaised: 0 },
    tasks: { submitted: FILES * 3, succeeded: FILES * 3, acknowledgedOnce: FILES * 3, lost: [], twice: [] },
    killed: { signal: 'SIGKILL', taskId: summary.recovered?.taskId },
  });
  expect(summary.recovered!.attempts).toBeGreaterThanOrEqual(2);
  expect(summary.recovered!.agentId).not.toBe(summary.killed.agentId);
  expect(summary.recovered!.restartedAfterMs).toBeGreaterThan(0);
  for (const shares of [summary.byRegion, summary.byPool]) {
    expect(shares).toHaveLength(3);
    for (const { agents, tasks } of shares) expect([agents, tasks]).toEqual([2, FILES]);
  }
  expect(summary.findings.syntaxErrors).toMatchObject([{ path: 'broken.ts', line: 2 }]);
  expect(summary.findings.notChecked).toEqual({ go: 1 });
  expect(summary.findings.largest[0]).toMatchObject({ path: `module-${FILES - 4}.ts`, lines: 25 });

  await expect.poll(async () => (await manager.getFleetStatus()).agents.total, { timeout: 5_000 }).toBe(0);
  expect((await manager.listPools()).map(({ maxAgents }) => maxAgents)).toEqual(poolsBefore.map(({ maxAgents }) => maxAgents));
  expect(readdirSync(temporary)).toEqual([]);
  expect(processesNaming(temporary)).toEqual([]);
  await manager.shutdown();
});

test(
  'without a fleet it starts one of its own; interrupted it ends with all it started',
  async () => {
    const temporary = path.join(base, 'tmp-own');
    const child = demo([], path.join(base, 'no-state'), temporary);
    let isInterrupted = false;
    const { code, stdout, stderr } = await endOf(child, (text) => {
      if (isInterrupted || !text.includes('SIGKILL')) return;
      isInterrupted = true;
      child.kill('SIGINT');
    });
    expect({ code, stderr }).toMatchObject({ code: 130 });
    expect(stderr).toContain('started for this run');
    expect(stdout).toBe('');
    expect(readdirSync(temporary)).toEqual([]);
    expect(processesNaming(temporary)).toEqual([]);
  },
  FRESH_RUN_MS,
);

test('refuses a directory without sources, and options that make no sense', async () => {
  const empty = path.join(base, 'empty');
  mkdirSync(empty);
  const run = (...args: string[]): Promise<Ended> =>
    endOf(spawn(process.execPath, [path.join(ROOT, 'scripts/demo.ts'), ...args], { stdio: ['ignore', 'pipe', 'pipe'] }));
  expect(await run(empty)).toMatchObject({ code: 1, stdout: expect.stringContaining('no source files') as string });
  expect(await run(path.join(base, 'missing'))).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('not a directory') as string,
  });
  expect(await run('--agents', '5')).toMatchObject({ code: 2, stderr: expect.stringContaining('from 6 to') as string });
  expect(await run('--nonsense')).toMatchObject({ code: 2 });
});
