import type { TaskRecord } from './records.ts';

/** The tasks of one concurrency key: so many may be queued for an agent or running at a time, the others wait outside. */
export class Gate {
  limit: number;
  /** Number of the task that said the limit: the newest decides, in whatever order tasks come. */
  saidBy: number;
  readonly admitted = new Set<string>();
  readonly waiting = new Map<string, TaskRecord>();

  constructor(limit: number, saidBy: number) {
    this.limit = limit;
    this.saidBy = saidBy;
  }

  /** How many of those that wait are let in before this one. */
  before(task: TaskRecord): number {
    let count = 0;
    for (const other of this.waiting.values()) if (other !== task && before(other, task)) count += 1;
    return count;
  }
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

  /**
   * A task has come that is queued or holds an agent; the latter is always in. Answers the queued ones that may go on now:
   * this one, or none, or several when it has raised the limit.
   */
  enter(task: TaskRecord): readonly TaskRecord[] {
    const { concurrency } = task;
    if (concurrency === null) return [task];
    let gate = this.#gates.get(concurrency.key);
    if (gate === undefined) {
      gate = new Gate(concurrency.limit, task.seq);
      this.#gates.set(concurrency.key, gate);
    }
    if (task.seq > gate.saidBy) {
      gate.limit = concurrency.limit;
      gate.saidBy = task.seq;
    }
    if (gate.admitted.has(task.id)) return [task];
    if (task.status === 'queued') gate.waiting.set(task.id, task);
    else gate.admitted.add(task.id);
    return fill(gate);
  }

  /** The task left (ended, or went into a backoff): answers those that come in for it, in the order they are served. */
  leave(task: TaskRecord): readonly TaskRecord[] {
    if (task.concurrency === null) return [];
    const gate = this.#gates.get(task.concurrency.key);
    if (gate === undefined) return [];
    gate.waiting.delete(task.id);
    gate.admitted.delete(task.id);
    const entered = fill(gate);
    if (gate.admitted.size === 0 && gate.waiting.size === 0) this.#gates.delete(task.concurrency.key);
    return entered;
  }
}

function fill(gate: Gate): readonly TaskRecord[] {
  const entered: TaskRecord[] = [];
  while (gate.admitted.size < gate.limit && gate.waiting.size > 0) {
    const next = [...gate.waiting.values()].reduce((a, b) => (before(b, a) ? b : a));
    gate.waiting.delete(next.id);
    gate.admitted.add(next.id);
    entered.push(next);
  }
  return entered;
}

function before(a: TaskRecord, b: TaskRecord): boolean {
  if (a.priority !== b.priority) return a.priority > b.priority;
  if (a.attempts > 0 !== b.attempts > 0) return a.attempts > 0;
  return a.seq < b.seq;
}
