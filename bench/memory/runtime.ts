import { readdirSync, readFileSync } from 'node:fs';
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare';
import { bundleWorkers, type WorkerModule } from '../../scripts/local/bundle.ts';

const DATE = '2026-10-15';

/** One workerd with the benchmark's Worker, over a folder. */
export class Runtime {
  readonly url: string;
  readonly pid: number;
  readonly #miniflare: Miniflare;

  private constructor(miniflare: Miniflare, url: string, pid: number) {
    this.#miniflare = miniflare;
    this.url = url;
    this.pid = pid;
  }

  static async bundle(): Promise<readonly WorkerModule[]> {
    const [modules] = await bundleWorkers(['bench/memory/worker.ts']);
    return modules ?? [];
  }

  static async start(modules: readonly WorkerModule[], folder: string, cacheMb: number): Promise<Runtime> {
    const miniflare = new Miniflare(
      convertV4MiniflareOptions({
        workers: [
          {
            name: 'bench',
            modules: [...modules],
            compatibilityDate: DATE,
            bindings: { CACHE_MB: String(cacheMb) },
            durableObjects: { BENCH: { className: 'BenchObject', useSQLite: true } },
            unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }],
          },
        ],
        host: '127.0.0.1',
        port: 0,
        cf: false,
        resourcePersistencePath: folder,
        log: new Log(LogLevel.ERROR),
      }),
    );
    await miniflare.ready;
    return new Runtime(miniflare, (await miniflare.unsafeGetDirectURL('bench')).origin, workerdOf(process.pid));
  }

  async call(path: string, parameters: Readonly<Record<string, string | number>>): Promise<unknown> {
    const query = new URLSearchParams(Object.entries(parameters).map(([name, value]): [string, string] => [name, String(value)]));
    const response = await fetch(`${this.url}${path}?${query.toString()}`);
    const text = await response.text();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text.slice(0, 300)}`);
    return text === 'ok' ? null : (JSON.parse(text) as unknown);
  }

  /** Processor time of the runtime's process so far, µs. */
  cpuUs(): number {
    let sum = 0;
    for (const task of readdirSync(`/proc/${this.pid}/task`)) {
      try {
        sum += Number(readFileSync(`/proc/${this.pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]) / 1_000;
      } catch {
        // The thread has ended.
      }
    }
    return sum;
  }

  residentMb(): number {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))?.[1]) / 1_024;
  }

  /** It asks the runtime for a last thing, and is told off when the runtime was quicker to end. */
  stop(): Promise<void> {
    return this.#miniflare.dispose().catch(() => undefined);
  }
}

function workerdOf(parent: number): number {
  for (const name of readdirSync('/proc').toReversed()) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (Number(fields[1]) === parent && stat.includes('(workerd)')) return Number(name);
    } catch {
      // It has ended.
    }
  }
  throw new Error('no workerd among the children of this process');
}
