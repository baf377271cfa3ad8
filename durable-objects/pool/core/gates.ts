import type { TaskRecord } from './records.ts';

/** The tasks of one concurrency key: so many may be queued for an agent or running at a time, the others wait outside. */
export interface Gate {
  limit: number;
  readonly admitted: Set<string>;
  readonly waiting: Map<string, TaskRecord>;
}

/** Concurrency limits per key. Derived from the tasks and rebuilt on every load. */
export class Gates {
  readonly #gates = new Map<string, Gate>();

  get(key: string): Gate | undefined {
    return this.#gates.get(key);
  }

  entries(): IterableIterator<[string, Gate]> {
    return this.#gates.entries();
  }

  /** Lets the task in if there is room, or keeps it waiting. A task that holds an agent is always in. */
  enter(task: TaskRecord): boolean {
    const { concurrency } = task;
    if (concurrency === null) return true;
    let gate = this.#gates.get(concurrency.key);
    if (gate === undefined)
      this.#gates.set(concurrency.key, (gate = { limit: concurrency.limit, admitted: new Set(), waiting: new Map() }));
    // The newest task says what the limit is now.
    gate.limit = concurrency.limit;
    if (gate.admitted.has(task.id)) return true;
    if (task.status === 'queued' && gate.admitted.size >= gate.limit) {
      gate.waiting.set(task.id, task);
      return false;
    }
    gate.waiting.delete(task.id);
    gate.admitted.add(task.id);
    return true;
  }

  /** The task left (ended, or went into a backoff): answers those that come in for it, in the order they are served. */
  leave(task: TaskRecord): readonly TaskRecord[] {
    if (task.concurrency === null) return [];
    const gate = this.#gates.get(task.concurrency.key);
    if (gate === undefined) return [];
    gate.waiting.delete(task.id);
    gate.admitted.delete(task.id);
    const entered: TaskRecord[] = [];
    while (gate.admitted.size < gate.limit && gate.waiting.size > 0) {
      const next = [...gate.waiting.values()].reduce((a, b) => (before(b, a) ? b : a));
      gate.waiting.delete(next.id);
      gate.admitted.add(next.id);
      entered.push(next);
    }
    if (gate.admitted.size === 0 && gate.waiting.size === 0) this.#gates.delete(task.concurrency.key);
    return entered;
  }
}

function before(a: TaskRecord, b: TaskRecord): boolean {
  if (a.priority !== b.priority) return a.priority > b.priority;
  if (a.attempts > 0 !== b.attempts > 0) return a.attempts > 0;
  return a.seq < b.seq;
}
