import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { Http } from '../chaos/http.ts';
import { editPlugin, type Edit } from '../chaos/plants.ts';
import { startLocalFleet, type LocalFleet } from '../local/fleet.ts';
import { openMemoryKeys } from '../local/keys.ts';
import { FleetLedger, judgeEntries, type Found } from './fleet-ledger.ts';
import { plaintextIn } from './plaintext.ts';
import { copyOf, readCopy, upkeepOf } from './sealed-copy.ts';
import type { ChaosMemoryOptions, ChaosMemoryResult } from './run.ts';

const REGION = 'eu-west-1';
const SWARM = 'chaos';
const DATABASE = `${REGION}/default/${SWARM}/0`;
const WRITERS = 5;
/** Of each writer. */
const KEYS = 12;
const GROUP_MEMBERS = 4;
/** Entries that are there from the beginning, so that a rotation and a compaction take many steps. */
const BALLAST = 1_500;
const BALLAST_BATCH = 250;
const ACKNOWLEDGED_MIN = 25;
const LOAD_MAX_MS = 10_000;
/** Looks at a runtime that stands still, until what is wanted is under way in it. */
const LOOKS_MAX = 250;
const KILL_WITHIN_MS = 120;
const REPEAT_PAUSE_MS = 20;

/** What an object does about its pages once in months is done here all the time: one thing after the other, by chance. */
const HASTE: readonly Edit[] = [
  {
    file: 'durable-objects/memory/memory-object.ts',
    find: 'else if (isWorthCompacting(database.sql)) database.startCompaction();',
    replace:
      'else if (isWorthCompacting(database.sql) || Math.random() < 0.5) database.startCompaction();\n else await database.startRotation();',
  },
  { file: 'shared/memory-limits.ts', find: 'sweepPauseMs: 1_000', replace: 'sweepPauseMs: 5' },
  { file: 'shared/memory-limits.ts', find: 'upkeepMs: 60_000', replace: 'upkeepMs: 100' },
];

/**
 * Kills the real fleet with SIGKILL under agents that write to a memory over HTTP. What lay on the disk at the moment of the
 * kill is opened by this process and held against what was acknowledged by then; at the end the fleet itself is asked.
 */
export async function runChaosFleet({ kills, parent, say }: ChaosMemoryOptions): Promise<ChaosMemoryResult> {
  const stateDir = mkdtempSync(path.join(parent, 'chaos-fleet-'));
  const violations: string[] = [];
  const during = { rotation: 0, compaction: 0 };
  const ledger = new FleetLedger();
  let keyIds = 0;
  const fleet = await startLocalFleet({
    stateDir,
    regions: [REGION],
    boosters: 0,
    quiet: true,
    restartsMax: kills + 10,
    plugins: [editPlugin('haste', HASTE)],
  });
  const secrets = openMemoryKeys(fleet.state, REGION);
  const stopped = new AbortController();
  try {
    const http = new Http(fleet.url, fleet.adminToken);
    const writers = await Promise.all(Array.from({ length: WRITERS }, (_, n) => Writer.register(http, ledger, n)));
    await ballast(http);
    // A writer that was told something wrong is a finding, and the others go on.
    const load = writers.map((writer) =>
      writer.run(stopped.signal).catch((error: unknown) => void violations.push(`a writer stopped: ${String(error)}`)),
    );
    for (let kill = 1; kill <= kills; kill += 1) {
      await acknowledgements(ledger);
      await pause(KILL_WITHIN_MS * Math.random());
      const copy = await standStill(fleet, path.join(stateDir, 'copy'), kill % 2 === 0 ? 'isCompacting' : 'isRotating');
      const expected = ledger.snapshot();
      await fleet.killWorkerd();
      const state = await readCopy(copy, { secrets, database: DATABASE });
      if (state.isRotating) during.rotation += 1;
      if (state.isCompacting) during.compaction += 1;
      keyIds = Math.max(keyIds, state.keyId);
      if (state.integrity !== 'ok') violations.push(`kill ${kill}: integrity_check: ${state.integrity.slice(0, 200)}`);
      violations.push(...judgeEntries(expected, withoutBallast(state.entries), groupOf).map((text) => `kill ${kill}: ${text}`));
      if (kill % 10 === 0) say(`${kill} kills of the fleet, ${ledger.acknowledged} writes acknowledged, key ${keyIds}`);
    }
    await acknowledgements(ledger);
    stopped.abort();
    await Promise.all(load);
    violations.push(...(await asked(http, ledger)).map((text) => `at the end: ${text}`));
    await http.close();
  } finally {
    stopped.abort();
    await fleet.stop();
  }
  try {
    rmSync(path.join(stateDir, 'copy'), { recursive: true, force: true });
    const last = await readCopy(copyOf(fleet.state.storage, path.join(stateDir, 'copy')), { secrets, database: DATABASE });
    if (last.integrity !== 'ok') violations.push(`at the end: integrity_check: ${last.integrity.slice(0, 200)}`);
    violations.push(...plaintextIn(fleet.state.storage, 'MemoryObject'));
  } finally {
    rmSync(stateDir, { recursive: true, force: true });
  }
  return {
    kills,
    duringRotation: during.rotation,
    duringCompaction: during.compaction,
    acknowledged: ledger.acknowledged,
    keyIds,
    violations,
  };
}

/** One agent: writes, deletes and transactions over keys of its own, each sent until it is answered. */
class Writer {
  readonly #http: Http;
  readonly #ledger: FleetLedger;
  readonly #n: number;
  readonly #token: string;
  readonly #versions = new Map<string, number>();

  private constructor(http: Http, ledger: FleetLedger, n: number, token: string) {
    this.#http = http;
    this.#ledger = ledger;
    this.#n = n;
    this.#token = token;
  }

  static async register(http: Http, ledger: FleetLedger, n: number): Promise<Writer> {
    const body = { pool: 'coder', region: REGION, swarms: [SWARM] };
    const reply = await http.call('POST', '/v1/agents', { body });
    if (reply.kind !== 'answered' || reply.status !== 201) throw new Error(`no agent: ${JSON.stringify(reply)}`);
    return new Writer(http, ledger, n, (reply.body as { readonly token: string }).token);
  }

  async run(stopped: AbortSignal): Promise<void> {
    while (!stopped.aborted) {
      const what = Math.random();
      if (what < 0.15) await this.#group();
      else if (what < 0.25) await this.#delete();
      else await this.#put();
    }
  }

  #key(): string {
    return `plainkey-${this.#n}-${Math.floor(Math.random() * KEYS)}`;
  }

  #next(key: string): number {
    const version = (this.#versions.get(key) ?? 0) + 1;
    this.#versions.set(key, version);
    return version;
  }

  async #put(): Promise<void> {
    const key = this.#key();
    const value = valueOf(this.#ledger.number());
    const version = this.#next(key);
    this.#ledger.send(key, { value, version });
    const stored = await this.#insist('PUT', `/entries/${key}`, { value, level: 'swarm', tags: ['plaintag'] });
    if (stored?.['version'] !== version) throw new Error(`${key}: version ${String(stored?.['version'])} instead of ${version}`);
    this.#ledger.acknowledge(key);
  }

  async #delete(): Promise<void> {
    const key = this.#key();
    // Only what is certainly there: otherwise the answer is that it is not.
    if (this.#ledger.snapshot().get(key)?.acknowledged == null) return;
    this.#ledger.send(key, null);
    await this.#insist('DELETE', `/entries/${key}`);
    this.#ledger.acknowledge(key);
  }

  /** All members or none. */
  async #group(): Promise<void> {
    const id = this.#ledger.number();
    const keys = Array.from({ length: GROUP_MEMBERS }, (_, member) => `group-${id}/plainkey-${member}`);
    const value = valueOf(id);
    for (const key of keys) this.#ledger.send(key, { value, version: 1 });
    await this.#insist('POST', '/transaction', { operations: keys.map((key) => ({ op: 'put', key, value, level: 'swarm' })) });
    for (const key of keys) this.#ledger.acknowledge(key);
  }

  /** The same request under the same idempotency key, until the fleet answers it: it must count once. */
  async #insist(method: 'PUT' | 'POST' | 'DELETE', route: string, body?: object): Promise<Record<string, unknown> | null> {
    const key = crypto.randomUUID();
    for (;;) {
      const reply = await this.#http.call(method, `/v1/memory/${SWARM}${route}`, {
        key,
        token: this.#token,
        ...(body === undefined ? {} : { body }),
      });
      if (reply.kind === 'answered' && reply.status < 300) return reply.body as Record<string, unknown> | null;
      // Of what a dying or waking fleet says; anything else is a mistake of ours, or of the fleet's.
      const isPassing = reply.kind !== 'answered' || reply.status >= 500 || reply.status === 429;
      if (!isPassing) throw new Error(`${method} ${route}: ${reply.status} ${JSON.stringify(reply.body).slice(0, 200)}`);
      await pause(REPEAT_PAUSE_MS);
    }
  }
}

const valueOf = (number: number): string => `plainvalue-${number}-`.padEnd(900, `${number} `);
const groupOf = (key: string): string | null => /^group-\d+/.exec(key)?.[0] ?? null;
const withoutBallast = (entries: ReadonlyMap<string, Found>): ReadonlyMap<string, Found> =>
  new Map([...entries].filter(([key]) => !key.startsWith('ballast-')));

async function ballast(http: Http): Promise<void> {
  for (let from = 0; from < BALLAST; from += BALLAST_BATCH) {
    const operations = Array.from({ length: BALLAST_BATCH }, (_, i) => ({
      op: 'put',
      key: `ballast-${from + i}`,
      value: `plainvalue ${from + i} `.repeat(120),
      level: 'swarm',
    }));
    const reply = await http.call('POST', `/v1/memory/${SWARM}/batch?region=${REGION}`, { body: { operations } });
    if (reply.kind !== 'answered' || reply.status !== 200) throw new Error(`no ballast: ${JSON.stringify(reply).slice(0, 200)}`);
  }
}

async function acknowledgements(ledger: FleetLedger): Promise<void> {
  const [before, until] = [ledger.acknowledged, Date.now() + LOAD_MAX_MS];
  while (ledger.acknowledged < before + ACKNOWLEDGED_MIN) {
    if (Date.now() > until) throw new Error(`only ${ledger.acknowledged - before} writes were acknowledged in ${LOAD_MAX_MS} ms`);
    await pause(5);
  }
}

/** Stops the runtime between two of its instructions and copies what it has on the disk; best while `wanted` is under way. */
async function standStill(fleet: LocalFleet, into: string, wanted: 'isRotating' | 'isCompacting'): Promise<string> {
  for (let look = 1; ; look += 1) {
    process.kill(fleet.workerdPid, 'SIGSTOP');
    const copy = copyOf(fleet.state.storage, into);
    if (look === LOOKS_MAX || upkeepOf(copy)[wanted]) return copy;
    process.kill(fleet.workerdPid, 'SIGCONT');
    await pause(KILL_WITHIN_MS * Math.random());
  }
}

/** Everything through the product, when nothing is open any more. */
async function asked(http: Http, ledger: FleetLedger): Promise<readonly string[]> {
  const found = new Map<string, Found>();
  for (let cursor = ''; ;) {
    const route = `/v1/memory/${SWARM}/entries?region=${REGION}&limit=200&values=true${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`;
    const reply = await http.call('GET', route);
    if (reply.kind !== 'answered' || reply.status !== 200) return [`the list answers ${JSON.stringify(reply).slice(0, 200)}`];
    const page = reply.body as { readonly data: readonly (Found & { readonly key: string })[]; readonly nextCursor?: string };
    for (const { key, value, version } of page.data) found.set(key, { value, version });
    if (page.nextCursor === undefined) break;
    cursor = page.nextCursor;
  }
  const missing =
    found.size - withoutBallast(found).size === BALLAST ? [] : ['entries that were there from the beginning are gone'];
  return [...missing, ...judgeEntries(ledger.snapshot(), withoutBallast(found), groupOf)];
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
