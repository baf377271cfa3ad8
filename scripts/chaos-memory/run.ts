import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare';
import { bundleWorkers, type WorkerModule } from '../local/bundle.ts';
import { Ledger, type Dump } from './ledger.ts';
import { plaintextIn } from './plaintext.ts';

export interface ChaosMemoryOptions {
  readonly kills: number;
  /** Folder under which the state lies; a disk, as durable means. */
  readonly parent: string;
  readonly say: (line: string) => void;
}

export interface ChaosMemoryResult {
  readonly kills: number;
  /** Kills while a rotation, and while a compaction, was under way. */
  readonly duringRotation: number;
  readonly duringCompaction: number;
  readonly acknowledged: number;
  readonly keyIds: number;
  readonly violations: readonly string[];
}

const PUT_WRITERS = 5;
const GROUP_WRITERS = 2;
/** Of each writer. */
const KEYS = 30;
const GROUP_MEMBERS = 20;
/** Rows that are there from the beginning, so that a rotation and a compaction take many steps. */
const BALLAST = 4_000;
/** A kill falls up to so long after the load and the maintenance are seen to work. */
const KILL_WITHIN_MS = 150;
const ACKNOWLEDGED_MIN = 25;
const LOAD_MAX_MS = 5_000;
const READY_MS = 20_000;
/**
 * Kills the real runtime with SIGKILL under writers, again and again over the same state, with a rotation or a compaction
 * always under way, and compares after each restart what the database has with what was acknowledged.
 */
export async function runChaosMemory({ kills, parent, say }: ChaosMemoryOptions): Promise<ChaosMemoryResult> {
  const folder = mkdtempSync(path.join(parent, 'chaos-memory-'));
  const [modules = []] = await bundleWorkers(['scripts/chaos-memory/worker.ts']);
  const secrets = `s:${Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('base64')}`;
  const ledger = new Ledger(GROUP_MEMBERS);
  const violations: string[] = [];
  const during = { rotation: 0, compaction: 0 };
  let keyId = 0;
  try {
    for (let kill = 1; kill <= kills; kill += 1) {
      const runtime = await start(modules, folder, secrets);
      try {
        if (kill === 1) await ask(runtime.url, '/ballast', { rows: BALLAST });
        const found = ledger.judge((await ask(runtime.url, '/dump', {})) as Dump);
        violations.push(...found.map((text) => `before kill ${kill}: ${text}`));
        const what = kill % 2 === 0 ? 'compaction' : 'rotation';
        const load = startLoad(runtime.url, ledger, what);
        await load.working;
        await pause(KILL_WITHIN_MS * Math.random());
        process.kill(runtime.pid, 'SIGKILL');
        const last = await load.stop();
        keyId = Math.max(keyId, last.keyId);
        if (last.underWay) during[what] += 1;
      } finally {
        await runtime.stop();
      }
      if (kill % 10 === 0) say(`${kill} kills, ${ledger.acknowledged} writes acknowledged, key ${keyId}`);
    }
    const runtime = await start(modules, folder, secrets);
    try {
      violations.push(...ledger.judge((await ask(runtime.url, '/dump', {})) as Dump).map((text) => `at the end: ${text}`));
    } finally {
      await runtime.stop();
    }
    violations.push(...plaintextIn(folder));
    return {
      kills,
      duringRotation: during.rotation,
      duringCompaction: during.compaction,
      acknowledged: ledger.acknowledged,
      keyIds: keyId,
      violations,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Runtime {
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

async function start(modules: readonly WorkerModule[], folder: string, secrets: string): Promise<Runtime> {
  const children = new Set(childrenOf(process.pid));
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      workers: [
        {
          name: 'chaos-memory',
          modules: [...modules],
          compatibilityDate: '2026-10-15',
          bindings: { SECRETS: secrets },
          durableObjects: { STORE: { className: 'StoreObject', useSQLite: true } },
          unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }],
        },
      ],
      host: '127.0.0.1',
      port: 0,
      cf: false,
      resourcePersistencePath: folder,
      log: new Log(LogLevel.NONE),
      handleStructuredLogs: () => undefined,
    }),
  );
  await miniflare.ready;
  const url = (await miniflare.unsafeGetDirectURL('chaos-memory')).origin;
  const pid = childrenOf(process.pid).find((candidate) => !children.has(candidate));
  if (pid === undefined) throw new Error('the runtime has no process');
  return { url, pid, stop: () => miniflare.dispose().catch(() => undefined) };
}

/** Processes that are workerd and ours. */
function childrenOf(parent: number): readonly number[] {
  const found: number[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      if (stat.includes('(workerd)') && Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parent)
        found.push(Number(name));
    } catch {
      // It has ended.
    }
  }
  return found;
}

interface Load {
  /** Resolves when writes have been acknowledged and maintenance is under way. */
  readonly working: Promise<void>;
  /** Resolves when every writer has noticed; says what maintenance last answered. */
  stop(): Promise<{ readonly keyId: number; readonly underWay: boolean }>;
}

function startLoad(url: string, ledger: Ledger, what: 'rotation' | 'compaction'): Load {
  const stopped = new AbortController();
  let last = { keyId: 0, underWay: false };
  const forever = async (body: () => Promise<void>): Promise<void> => {
    while (!stopped.signal.aborted) {
      try {
        await body();
      } catch {
        // The runtime is gone, or about to be: what was sent is open.
        return;
      }
    }
  };
  const put = async (writer: number): Promise<void> => {
    const write = ledger.nextPut(`plainkey-${writer}-${Math.floor(Math.random() * KEYS)}`);
    await ask(url, '/put', { key: write.key, value: write.value });
    write.acknowledge();
  };
  const group = async (): Promise<void> => {
    const write = ledger.nextGroup();
    await ask(url, '/group', { id: write.id, members: GROUP_MEMBERS });
    write.acknowledge();
  };
  const maintain = async (): Promise<void> => {
    const answer = (await ask(url, '/maintain', { what, steps: 1 })) as { readonly keyId: number; readonly underWay: number };
    last = { keyId: answer.keyId, underWay: answer.underWay === 1 };
  };
  const writers = [
    ...Array.from({ length: PUT_WRITERS }, (_, writer) => forever(() => put(writer))),
    ...Array.from({ length: GROUP_WRITERS }, () => forever(group)),
    forever(maintain),
  ];
  const before = ledger.acknowledged;
  const untilWorking = async (): Promise<void> => {
    const until = Date.now() + LOAD_MAX_MS;
    while (Date.now() < until && (ledger.acknowledged < before + ACKNOWLEDGED_MIN || !last.underWay)) await pause(5);
  };
  return {
    working: untilWorking(),
    async stop() {
      stopped.abort();
      await Promise.all(writers);
      return last;
    },
  };
}

async function ask(url: string, pathname: string, parameters: Readonly<Record<string, string | number>>): Promise<unknown> {
  const query = new URLSearchParams(Object.entries(parameters).map(([name, value]): [string, string] => [name, String(value)]));
  const response = await fetch(`${url}${pathname}?${query.toString()}`, { signal: AbortSignal.timeout(READY_MS) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${pathname}: ${response.status} ${text.slice(0, 200)}`);
  return JSON.parse(text);
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
