import { Queue, Worker } from 'bullmq';

const QUEUE = 'bench';

/** Jobs from `add` to the moment a worker begins with them: what an allocation is to a job queue. */
export class BullMqJobs {
  readonly #queue: Queue<{ readonly n: number }>;
  readonly #worker: Worker<{ readonly n: number }>;
  readonly #started = new Map<number, () => void>();
  #next = 0;

  constructor(port: number, concurrency: number) {
    const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null };
    const removed = { removeOnComplete: true, removeOnFail: true };
    this.#queue = new Queue(QUEUE, { connection, defaultJobOptions: removed });
    this.#worker = new Worker(
      QUEUE,
      async (job) => {
        this.#started.get(job.data.n)?.();
        this.#started.delete(job.data.n);
      },
      { connection, concurrency },
    );
  }

  async ready(): Promise<void> {
    await Promise.all([this.#queue.waitUntilReady(), this.#worker.waitUntilReady()]);
  }

  /** Adds a job, and resolves when a worker has begun with it. */
  async run(): Promise<void> {
    const n = (this.#next += 1);
    const started = new Promise<void>((resolve) => this.#started.set(n, resolve));
    await this.#queue.add('job', { n });
    await started;
  }

  async close(): Promise<void> {
    await this.#worker.close();
    await this.#queue.close();
  }
}
