import { rmSync } from 'node:fs';
import type { Plugin } from 'esbuild';
import type { Miniflare } from 'miniflare';
import { REGIONS, type RegionId } from '../../regions/table.ts';
import { buildAssets } from '../build-assets.ts';
import { keysAsSecret, openAdminToken, openMemoryKeys, openSigningKeys } from './keys.ts';
import { buildBooster } from '../build-booster.ts';
import { loadMiniflare } from './miniflare.ts';
import { isAlive } from './processes.ts';
import { lockStateDir, openStateDir, readIfPresent, type StateDir, writePrivately } from './state-dir.ts';
import { exposeCollector } from './v8-flags.ts';
import { installLauncher, launcherEnvironment, startWatchdog } from './watchdog.ts';
import { localWorkers, ROUTER_NAME } from './workers.ts';

export interface LocalFleetOptions {
  /** 0, the default: any free one. */
  readonly port?: number;
  /** Tests and benchmarks put it on a memory disk: every commit waits for the disk. */
  readonly stateDir: string;
  /** Default: all of the table. */
  readonly regions?: readonly RegionId[];
  /** Variables of `wrangler.toml` with other values, such as `LOG_LEVEL`. */
  readonly vars?: Readonly<Record<string, string>>;
  /** Keeps the Workers' log lines, and word of restarts, off stderr. */
  readonly quiet?: boolean;
  /** Booster Workers; default three. */
  readonly boosters?: number;
  /** For the bundler: a test that checks the tests plants a mistake with one. */
  readonly plugins?: readonly Plugin[];
  /** Deaths of the runtime within a minute that are mended; a test that kills it on purpose may allow more. Default: 5. */
  readonly restartsMax?: number;
  /** Told once, when the fleet cannot be kept alive; it is stopped by then. */
  readonly onFailure?: (reason: string) => void;
}

export interface LocalFleet {
  readonly url: string;
  readonly adminToken: string;
  readonly state: StateDir;
  readonly regions: readonly RegionId[];
  /** The runtime's process; another one after a restart. */
  readonly workerdPid: number;
  /** Ends the runtime as a crash would; resolves when its successor serves. */
  killWorkerd(): Promise<void>;
  stop(): Promise<void>;
}

/** Another program has the port. */
export class PortBusyError extends Error {
  constructor(port: number) {
    super(`Port ${port} is busy. Stop what uses it, or set PORT to another one.`);
  }
}

const READY_WITHIN_MS = 15_000;
/** How often the runtime is looked at. Its death is mended by Miniflare at once; this finds out and tells. */
const WATCH_MS = 100;
/** More deaths than this within the window are no accident; restarting again would only hide them. */
const RESTARTS_MAX = 5;
const RESTART_WINDOW_MS = 60_000;

/**
 * Starts the router and the regions in one runtime, with their state on disk, and answers when they serve. A caller that
 * exits without stopping it takes it along at once, which is safe because acknowledged means stored; if the caller is
 * killed, a watchdog does that.
 */
export async function startLocalFleet(options: LocalFleetOptions): Promise<LocalFleet> {
  const regions = options.regions ?? REGIONS.map((region) => region.id);
  const say = (text: string): void => {
    if (options.quiet !== true) process.stderr.write(`${text}\n`);
  };
  const state = openStateDir(options.stateDir);
  const lock = lockStateDir(state);
  const watchdog = startWatchdog(state, lock.id);
  let runtime: Miniflare | undefined;

  const onExit = (): void => {
    const pid = Number(readIfPresent(state.workerdPid) ?? '0');
    if (pid > 0 && isAlive(pid)) process.kill(pid, 'SIGKILL');
    release();
  };
  /** What must be gone or given back however the fleet ends. The runtime's number first: without it the watchdog does nothing. */
  const release = (): void => {
    process.removeListener('exit', onExit);
    rmSync(state.workerdPid, { force: true });
    rmSync(state.endpoint, { force: true });
    lock.release();
    watchdog.dismiss();
  };

  process.once('exit', onExit);
  try {
    installLauncher();
    exposeCollector();
    buildAssets();
    buildBooster();
    const keys = await openSigningKeys(state);
    // Loading Miniflare takes a third of a second of this process, in which the bundler's process does its part.
    const [workers, miniflare, adminToken] = await Promise.all([
      localWorkers({
        regions,
        port: options.port ?? 0,
        signingKeys: keysAsSecret(keys),
        memoryKeys: (region) => openMemoryKeys(state, region),
        vars: options.vars ?? {},
        plugins: options.plugins,
        boosters: options.boosters,
      }),
      loadMiniflare(),
      openAdminToken(state, keys),
    ]);
    runtime = new miniflare.Miniflare(
      miniflare.convertV4MiniflareOptions({
        workers,
        // The entry socket is four times slower than the router's own; it only has to exist.
        host: '127.0.0.1',
        port: 0,
        cf: false,
        resourcePersistencePath: state.storage,
        unsafeRuntimeEnv: { ...launcherEnvironment(state.workerdPid) },
        log: new miniflare.Log(miniflare.LogLevel.NONE),
        handleStructuredLogs: ({ level, message }) => say(`[${level}] ${message}`),
      }),
    );
    await runtime.ready;
    const url = (await runtime.unsafeGetDirectURL(ROUTER_NAME)).origin;
    await untilServing(url);
    writePrivately(state.endpoint, JSON.stringify({ url, pid: process.pid }));
    return supervise({
      runtime,
      url,
      adminToken,
      state,
      regions,
      release,
      say,
      restartsMax: options.restartsMax ?? RESTARTS_MAX,
      onFailure: options.onFailure,
    });
  } catch (error) {
    await runtime?.dispose().catch(() => undefined);
    release();
    if (error instanceof Error && 'code' in error && error.code === 'ERR_ADDRESS_IN_USE') {
      throw new PortBusyError(options.port ?? 0);
    }
    throw error;
  }
}

interface Supervised {
  readonly runtime: Miniflare;
  readonly url: string;
  readonly adminToken: string;
  readonly state: StateDir;
  readonly regions: readonly RegionId[];
  readonly release: () => void;
  readonly say: (text: string) => void;
  readonly restartsMax: number;
  readonly onFailure: ((reason: string) => void) | undefined;
}

function supervise(fleet: Supervised): LocalFleet {
  const { runtime, url, state, say } = fleet;
  const deathsAtMs: number[] = [];
  let workerdPid = readWorkerdPid(state);
  let stopping: Promise<void> | undefined;
  let mending: Promise<void> | undefined;

  const stop = (): Promise<void> => {
    stopping ??= (async () => {
      clearInterval(watch);
      await runtime.dispose();
      fleet.release();
    })();
    return stopping;
  };

  const mend = async (): Promise<void> => {
    const diedAtMs = Date.now();
    deathsAtMs.push(diedAtMs);
    say(`fleet: the runtime (process ${workerdPid}) died; restarting it`);
    try {
      const recent = deathsAtMs.filter((atMs) => diedAtMs - atMs < RESTART_WINDOW_MS).length;
      if (recent > fleet.restartsMax) throw new Error(`the runtime died ${recent} times within a minute`);
      await runtime.ready;
      await untilServing(url);
      workerdPid = readWorkerdPid(state);
      say(`fleet: serving again after ${Date.now() - diedAtMs} ms (process ${workerdPid})`);
    } catch (error) {
      if (stopping !== undefined) return;
      await stop();
      const reason = error instanceof Error ? error.message : String(error);
      say(`fleet: stopped, because it could not be kept alive: ${reason}`);
      fleet.onFailure?.(reason);
    }
  };

  const look = (): Promise<void> => {
    if (mending !== undefined) return mending;
    if (stopping !== undefined || isAlive(workerdPid)) return Promise.resolve();
    mending = mend().finally(() => {
      mending = undefined;
    });
    return mending;
  };
  const watch = setInterval(() => void look(), WATCH_MS);

  return {
    url,
    adminToken: fleet.adminToken,
    state,
    regions: fleet.regions,
    get workerdPid() {
      return workerdPid;
    },
    async killWorkerd() {
      const victim = workerdPid;
      process.kill(victim, 'SIGKILL');
      // A killed process is dead only when it has been collected, which the next turns of the event loop do.
      while (isAlive(victim)) await pause(5);
      await look();
    },
    stop,
  };
}

function readWorkerdPid(state: StateDir): number {
  const pid = Number(readIfPresent(state.workerdPid) ?? '0');
  if (!Number.isInteger(pid) || pid <= 0) throw new Error('the runtime did not write down its process number');
  return pid;
}

/** Resolves once the router answers for itself and says that it can reach what it needs. */
async function untilServing(url: string): Promise<void> {
  const deadlineAtMs = Date.now() + READY_WITHIN_MS;
  let last = 'no answer';
  for (const route of ['/healthz', '/readyz']) {
    for (;;) {
      try {
        const response = await fetch(url + route, { signal: AbortSignal.timeout(2_000) });
        const text = await response.text();
        if (response.status === 200) break;
        last = `${response.status} ${text.slice(0, 500)}`;
      } catch (error) {
        last = error instanceof Error ? error.message : String(error);
      }
      if (Date.now() > deadlineAtMs) throw new Error(`GET ${route} was not answered in time: ${last}`);
      await pause(20);
    }
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
