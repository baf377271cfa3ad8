import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import type { RegionId } from '../../regions/table.ts';
import { Recorder, writeHistory, type Entry } from '../../test/lib/history.ts';
import { ROOT } from '../checks.ts';
import { startLocalFleet } from '../local/fleet.ts';
import { audit, RECLAIMED_WITHIN_MS, tasksEnd } from './audit.ts';
import { checkHistory } from './checks.ts';
import { allocator } from './clients/allocator.ts';
import { Keeper } from './clients/keeper.ts';
import { operator } from './clients/operator.ts';
import { pollAgent } from './clients/poll-agent.ts';
import { socketAgent } from './clients/socket-agent.ts';
import { submitter } from './clients/submitter.ts';
import { Facts } from './facts.ts';
import { Http } from './http.ts';
import { killer } from './killer.ts';
import { checkLinearizability } from './operations.ts';
import { plantPlugin, type PlantName } from './plants.ts';
import type { Violation } from './violation.ts';
import { LEASE_MS_MAX, pause, POOLS, QUIET_POOL, SETTINGS_POOL, TIGHT_POOL, TIGHT_POOL_MAX, World } from './world.ts';

export interface ChaosOptions {
  readonly kills: number;
  /** How long faults last. */
  readonly seconds: number;
  readonly clients: number;
  readonly seed: number;
  readonly regions: readonly RegionId[];
  /** Of every pool but the tight one. */
  readonly shards: number;
  /** State on the disk instead of in memory. */
  readonly isOnDisk: boolean;
  /** Keep the history in any case. */
  readonly isKept: boolean;
  readonly plant: PlantName | null;
  readonly say: (line: string) => void;
}

export interface ChaosResult {
  readonly kills: number;
  readonly violations: readonly Violation[];
  readonly counts: HistoryCounts;
  /** Histories of single agents, leases, keys and tasks that were searched for an order. */
  readonly linearized: number;
  /** Where the history is, if it was kept: it shows what went wrong. */
  readonly historyFile: string | null;
}

export interface HistoryCounts {
  readonly operations: number;
  readonly acknowledged: number;
  readonly refused: number;
  readonly open: number;
  readonly unsent: number;
  readonly agents: number;
  readonly leases: number;
  readonly tasks: number;
}

/** Histories that are looked at later, and state that is to be on the disk. */
const KEPT_IN = path.join(ROOT, '.build/chaos');

/** Clients at least, so that every role is there several times. */
export const CLIENTS_MIN = 16;
/** More than any run registers. */
const FLEET_AGENTS_MAX = 10_000;

/** One run: clients and crashes, then calm, then everything is read again and the history is judged. */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const root = options.isOnDisk ? KEPT_IN : memoryDisk();
  mkdirSync(root, { recursive: true });
  const stateDir = mkdtempSync(path.join(root, 'fleet-chaos-'));
  const clean = (): void => rmSync(stateDir, { recursive: true, force: true });
  process.once('exit', clean);
  const recorder = new Recorder();
  try {
    const leftOver = await record(options, stateDir, recorder);
    const started = performance.now();
    const { violations, linearized } = judge(recorder.entries);
    options.say(`checked ${linearized} histories in ${seconds(started)} s`);
    if (leftOver > 0) options.say(`${leftOver} tasks had not ended when the wait for them did`);
    const kills = recorder.entries.filter(({ op }) => op === 'kill').length;
    // What a planted bug did is no news.
    const isWanted = options.isKept || (violations.length > 0 && options.plant === null);
    const historyFile = isWanted ? keep(recorder, options.seed) : null;
    return { kills, violations, counts: countsOf(recorder.entries), linearized, historyFile };
  } catch (error) {
    options.say(`stopped; the history so far is in ${keep(recorder, options.seed)}`);
    throw error;
  } finally {
    clean();
    process.removeListener('exit', clean);
  }
}

function keep(recorder: Recorder, seed: number): string {
  mkdirSync(KEPT_IN, { recursive: true });
  const file = path.join(KEPT_IN, `history-${seed}.jsonl`);
  writeHistory(file, recorder.entries);
  return file;
}

/** Every check over a history. */
export function judge(entries: readonly Entry[]): { readonly violations: readonly Violation[]; readonly linearized: number } {
  const facts = new Facts(entries);
  const { violations, histories } = checkLinearizability(facts);
  return { violations: [...checkHistory(facts), ...violations], linearized: histories };
}

async function record(options: ChaosOptions, stateDir: string, recorder: Recorder): Promise<number> {
  const { say, regions } = options;
  const fleet = await startLocalFleet({
    boosters: 0,
    stateDir,
    regions,
    quiet: true,
    restartsMax: options.kills + 10,
    ...(options.plant === null ? {} : { plugins: [plantPlugin(options.plant)] }),
  });
  const http = new Http(fleet.url, fleet.adminToken);
  const faultsEndAtMs = Date.now() + options.seconds * 1_000;
  const world = new World({ http, recorder, seed: options.seed, regions, faultsEndAtMs });
  try {
    await setUp(http, options.shards);
    say(
      `${options.clients} clients, ${options.kills} kills in ${options.seconds} s, seed ${options.seed}, ${regions.join(' and ')}, state in ${stateDir}`,
    );

    const failed = new AbortController();
    const run = (role: Promise<void>): Promise<void> =>
      role.catch((error: unknown) => {
        // The run is worth nothing without this client: end it, and say why.
        world.enter('over');
        failed.abort(error);
      });
    const { callers, agents } = start(world, options.clients);
    const keeper = new Keeper(world);
    const everybody = { callers: [...callers, keeper.run()].map(run), agents: agents.map(run) };
    await killer({
      fleet,
      recorder,
      kills: options.kills,
      seconds: options.seconds,
      seed: options.seed,
      onKill: ({ n, servingAfterMs }) =>
        say(`kill ${n}: serving again after ${servingAfterMs} ms, ${recorder.size} operations so far`),
    });
    if (failed.signal.aborted) throw failed.signal.reason;

    world.enter('calm');
    await Promise.all(everybody.callers);
    const calmSinceMs = Date.now();
    // With a plant the question is only whether it is found, and it need not leave a fleet that comes to rest.
    if (options.plant !== null && judge(recorder.entries).violations.length > 0) return 0;
    const left = await tasksEnd(http, recorder);
    say(`calm: every task ended after ${((Date.now() - calmSinceMs) / 1_000).toFixed(1)} s; reading everything again`);
    await pause(Math.max(0, calmSinceMs + LEASE_MS_MAX + RECLAIMED_WITHIN_MS - Date.now()));
    await keeper.audit();
    await audit(http, recorder, regions, [...POOLS, TIGHT_POOL, QUIET_POOL]);
    world.enter('over');
    await Promise.all(everybody.agents);
    if (failed.signal.aborted) throw failed.signal.reason;
    return left;
  } finally {
    world.enter('over');
    await fleet.stop();
    await http.close();
  }
}

/** Pools and a quota, which makes every registration ask the fleet's own object for room. */
async function setUp(http: Http, shards: number): Promise<void> {
  const put = async (path: string, body: unknown): Promise<void> => {
    const reply = await http.call('PUT', path, { body });
    if (reply.kind !== 'answered' || reply.status >= 300) throw new Error(`PUT ${path}: ${JSON.stringify(reply)}`);
  };
  const pool = { minAgents: 0, priority: 5 };
  for (const name of POOLS) await put(`/v1/pools/${name}`, { ...pool, maxAgents: 20_000, shards });
  await put(`/v1/pools/${TIGHT_POOL}`, { ...pool, maxAgents: TIGHT_POOL_MAX });
  await put(`/v1/pools/${SETTINGS_POOL.pool}`, { ...pool, maxAgents: SETTINGS_POOL.maxAgents });
  await put('/v1/fleet', { maxAgents: FLEET_AGENTS_MAX });
}

/** Shares the clients among the roles. Agents: every pool and region needs one, or its tasks wait for ever. */
function start(world: World, clients: number): { readonly callers: Promise<void>[]; readonly agents: Promise<void>[] } {
  const places = POOLS.length * world.regions.length;
  const sockets = Math.max(places, Math.round(clients * 0.25));
  const pollers = Math.max(places, Math.round(clients * 0.2));
  const submitters = Math.max(2, Math.round(clients * 0.15));
  const operators = 2;
  const allocators = Math.max(4, clients - sockets - pollers - submitters - operators);
  const many = (n: number, role: (world: World, index: number) => Promise<void>): Promise<void>[] =>
    Array.from({ length: n }, (_, i) => role(world, i));
  return {
    agents: [...many(sockets, socketAgent), ...many(pollers, pollAgent)],
    callers: [...many(allocators, allocator), ...many(submitters, submitter), ...many(operators, operator)],
  };
}

function countsOf(entries: readonly Entry[]): HistoryCounts {
  const of = (kind: Entry['answer']['kind']): number => entries.filter(({ answer }) => answer.kind === kind).length;
  const facts = new Facts(entries);
  return {
    operations: entries.length,
    acknowledged: of('ok'),
    refused: of('refused'),
    open: of('open'),
    unsent: of('unsent'),
    agents: facts.agents.size,
    leases: facts.leases.size,
    tasks: facts.tasks.size,
  };
}

/** A disk in memory where there is one: crashes of the process lose nothing that was written to it. */
function memoryDisk(): string {
  return process.platform === 'linux' ? '/dev/shm' : tmpdir();
}

const seconds = (since: number): string => ((performance.now() - since) / 1_000).toFixed(1);
