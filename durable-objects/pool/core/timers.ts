/** What may be due. One object has one alarm, so all of them share this heap. */
export type TimerKind =
  | 'leaseEnd'
  | 'taskDue'
  | 'taskDeadline'
  | 'cancelDue'
  | 'suspectGrace'
  | 'drainDeadline'
  | 'waiterEnd'
  | 'removeOffline'
  | 'revocation'
  | 'loanDue'
  | 'loanBeat'
  | 'borrow'
  | 'sweep'
  | 'prune';

export interface Timer {
  readonly atMs: number;
  readonly kind: TimerKind;
  readonly id: string;
}

/**
 * Binary min-heap by time. Entries are never removed in the middle: whoever pops one checks whether it still means
 * anything. That keeps a renewal free of heap work: the old entry fires, sees the later end and is pushed again. Those that
 * mean nothing any more are trimmed when there are too many (`trimTimers`).
 */
export class TimerHeap {
  readonly #heap: Timer[] = [];

  get size(): number {
    return this.#heap.length;
  }

  peek(): Timer | undefined {
    return this.#heap[0];
  }

  push(timer: Timer): void {
    const heap = this.#heap;
    let i = heap.length;
    heap.push(timer);
    while (i > 0) {
      const up = (i - 1) >> 1;
      const parent = heap[up] as Timer;
      if (parent.atMs <= timer.atMs) break;
      heap[i] = parent;
      i = up;
    }
    heap[i] = timer;
  }

  /** Keeps only what `counts`. */
  keep(counts: (timer: Timer) => boolean): void {
    const kept = this.#heap.filter(counts);
    this.#heap.length = 0;
    for (const timer of kept) this.push(timer);
  }

  pop(): Timer | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && (heap[child + 1] as Timer).atMs < (heap[child] as Timer).atMs) child += 1;
      if ((heap[child] as Timer).atMs >= last.atMs) break;
      heap[i] = heap[child] as Timer;
      i = child;
    }
    heap[i] = last;
    return top;
  }
}
