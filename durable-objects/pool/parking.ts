import { LIMITS } from '../../shared/limits.ts';
import { err } from '../../shared/result.ts';
import type { PoolReply } from '../../shared/rpc.ts';
import type { PolledLeases } from './core/polls.ts';

const NOTHING: PolledLeases = { leaseIds: [], revoked: [] };

interface ParkedPoll {
  readonly waiterId: string;
  readonly answer: (polled: PolledLeases) => void;
  readonly leave: () => void;
}

/** Callers that wait for something: an allocation, an assignment, the end of a task. Memory only; a crash answers them all. */
export class Parking {
  readonly #waiters = new Map<string, (reply: PoolReply) => void>();
  readonly #polls = new Map<string, ParkedPoll>();
  readonly #pollAgents = new Map<string, string>();
  readonly #tasks = new Map<string, Set<() => void>>();
  #parked = 0;

  /** Long polls are bounded, so that waiting callers cannot use up the object's memory. */
  hasRoom(): boolean {
    return this.#parked < LIMITS.waitersPerShard;
  }

  parkWaiter(waiterId: string): Promise<PoolReply> {
    return this.#park((resolve) => this.#waiters.set(waiterId, resolve));
  }

  answerWaiter(waiterId: string, reply: PoolReply): void {
    this.#waiters.get(waiterId)?.(reply);
    this.#waiters.delete(waiterId);
  }

  /** The caller left; answers whether it was waiting here. */
  leaveWaiter(waiterId: string): boolean {
    if (!this.#waiters.has(waiterId)) return false;
    this.answerWaiter(waiterId, err({ kind: 'no_capacity', detail: 'The caller left before an agent became free.' }));
    return true;
  }

  /** Parks a poll; a second one of the same agent answers the first with nothing. */
  parkPoll(agentId: string, waiterId: string, waitMs: number, onEmpty: () => void): Promise<PolledLeases> {
    this.#polls.get(agentId)?.answer(NOTHING);
    return this.#park((resolve) => {
      const answer = (polled: PolledLeases): void => {
        clearTimeout(timer);
        if (this.#polls.get(agentId)?.waiterId === waiterId) this.#polls.delete(agentId);
        this.#pollAgents.delete(waiterId);
        resolve(polled);
      };
      const leave = (): void => {
        answer(NOTHING);
        onEmpty();
      };
      const timer = setTimeout(leave, waitMs);
      this.#polls.set(agentId, { waiterId, answer, leave });
      this.#pollAgents.set(waiterId, agentId);
    });
  }

  answerPoll(agentId: string, polled: PolledLeases): void {
    this.#polls.get(agentId)?.answer(polled);
  }

  leavePoll(waiterId: string): boolean {
    const agentId = this.#pollAgents.get(waiterId);
    if (agentId === undefined) return false;
    this.#polls.get(agentId)?.leave();
    return true;
  }

  /** Resolves when the task ends or the wait does. */
  awaitTask(taskId: string, waitMs: number): Promise<void> {
    return this.#park((resolve) => {
      const waiting = this.#tasks.get(taskId) ?? new Set();
      this.#tasks.set(taskId, waiting);
      const done = (): void => {
        clearTimeout(timer);
        waiting.delete(done);
        if (waiting.size === 0) this.#tasks.delete(taskId);
        resolve(undefined);
      };
      const timer = setTimeout(done, waitMs);
      waiting.add(done);
    });
  }

  taskEnded(taskId: string): void {
    for (const done of this.#tasks.get(taskId) ?? []) done();
  }

  /** Answers everyone: what they wait for will not come. */
  clear(): void {
    for (const waiterId of this.#waiters.keys()) this.leaveWaiter(waiterId);
    for (const poll of this.#polls.values()) poll.answer(NOTHING);
    for (const taskId of this.#tasks.keys()) this.taskEnded(taskId);
  }

  async #park<T>(start: (resolve: (value: T) => void) => void): Promise<T> {
    this.#parked += 1;
    try {
      return await new Promise<T>(start);
    } finally {
      this.#parked -= 1;
    }
  }
}
