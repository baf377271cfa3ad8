import { readFileSync, writeFileSync } from 'node:fs';
import type { AgentStatus, Liveness } from '../../shared/schemas/agents.ts';
import type { AllocationStatus } from '../../shared/schemas/allocations.ts';
import type { AgentCounts, TaskCounts } from '../../shared/schemas/fleet.ts';
import type { TaskStatus } from '../../shared/schemas/tasks.ts';

/** A lease as a grant's answer shows it. */
export interface Granted {
  readonly allocationId: string;
  readonly agentId: string;
  readonly token: number;
  readonly slots: number;
  readonly endsAtMs: number;
}

/** The whole answer to a call with an idempotency key, by its hash, and whether it was said to be a repeated one. */
interface Answered {
  readonly hash: string;
  /** `null` where the answer does not tell, as in a batch. */
  readonly isReplay: boolean | null;
}
interface Keyed {
  readonly key: string | null;
  /** Tells bodies apart. */
  readonly body: string;
}

/** Every operation of a client: what it asks and what it is told. */
export interface Operations {
  register: {
    input: Keyed & { pool: string; slots: number; liveness: Liveness };
    output: Answered & { agentId: string };
  };
  deregister: { input: { agentId: string; force: boolean }; output: { status: AgentStatus } };
  drain: { input: { agentId: string; deadlineMs: number }; output: { status: AgentStatus } };
  quarantine: { input: { agentId: string }; output: { status: AgentStatus } };
  getAgent: { input: { agentId: string }; output: { status: AgentStatus; slots: number; slotsFree: number } };
  allocate: { input: Keyed & { count: number; slots: number; leaseMs: number }; output: Answered & { leases: Granted[] } };
  renew: { input: { allocationId: string; token: number; leaseMs: number }; output: { endsAtMs: number } };
  release: { input: { allocationId: string; token: number }; output: { status: AllocationStatus } };
  getAllocation: { input: { allocationId: string }; output: Granted & { status: AllocationStatus } };
  submit: { input: Keyed & { payload: string; maxAttempts: number }; output: Answered & { taskId: string } };
  /** Nothing asked: an agent has learned that it holds a task. */
  assigned: {
    input: { agentId: string; via: 'socket' | 'welcome' | 'poll' };
    output: { taskId: string; allocationId: string; token: number; attempt: number; payload: string };
  };
  progress: { input: { taskId: string; token: number; agentId: string }; output: Record<string, never> };
  complete: { input: { taskId: string; token: number; agentId: string; result: string }; output: Record<string, never> };
  fail: { input: { taskId: string; token: number; agentId: string; isRetryable: boolean }; output: Record<string, never> };
  cancel: { input: { taskId: string }; output: { status: TaskStatus } };
  getTask: {
    input: { taskId: string };
    output: { status: TaskStatus; attempts: number; result: string | null; errorCode: string | null };
  };
  putPool: { input: { pool: string; maxAgents: number }; output: Record<string, never> };
  getPool: { input: { pool: string }; output: { maxAgents: number } };
  mint: { input: Record<string, never>; output: { tokenId: string } };
  revoke: { input: { tokenId: string }; output: Record<string, never> };
  useToken: { input: { tokenId: string }; output: Record<string, never> };
  /** What the fleet's counters say of a pool that nobody has spoken to since its leases ended. */
  quiet: { input: { pool: string }; output: { busy: number } };
  /** The runtime was killed; its end is the moment at which it was seen dead. */
  kill: { input: { pid: number }; output: Record<string, never> };
  /** Counters beside what counting gives, at rest. */
  recount: {
    input: { pool: string };
    output: { agents: AgentCounts; listedAgents: Partial<AgentCounts>; tasks: TaskCounts; listedTasks: Partial<TaskCounts> };
  };
  /** Everything a list names, at rest. */
  listed: {
    input: { pool: string };
    output: { agents: { id: string; slots: number; slotsFree: number; status: AgentStatus }[] };
  };
}
export type OperationName = keyof Operations;

export type Answer<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'refused'; readonly status: number; readonly code: string }
  /** No answer, or one that does not say whether it was done. */
  | { readonly kind: 'open'; readonly why: string }
  /** The connection was refused: it was not done. */
  | { readonly kind: 'unsent' };

/** One operation. Positions are epoch milliseconds with a fraction that orders what falls into one millisecond. */
interface Recorded<K extends OperationName> {
  readonly n: number;
  readonly client: string;
  readonly op: K;
  readonly input: Readonly<Operations[K]['input']>;
  readonly call: number;
  readonly end: number;
  readonly answer: Answer<Operations[K]['output']>;
}
export type Entry = { [K in OperationName]: Recorded<K> }[OperationName];
export type EntryOf<K extends OperationName> = Extract<Entry, { readonly op: K }>;
/** An operation that was answered with success. */
export type Done<K extends OperationName> = EntryOf<K> & {
  readonly answer: { readonly kind: 'ok'; readonly value: Operations[K]['output'] };
};

export const isOf =
  <K extends OperationName>(...ops: readonly K[]) =>
  (entry: Entry): entry is EntryOf<K> =>
    (ops as readonly OperationName[]).includes(entry.op);
export const isDone =
  <K extends OperationName>(op: K) =>
  (entry: Entry): entry is Done<K> =>
    entry.op === op && entry.answer.kind === 'ok';

/** A step finer than a millisecond, and coarser than what a number of this size can tell apart. */
const TICK_MS = 0.001;

/** Records operations of many clients of one process in one order. */
export class Recorder {
  readonly entries: Entry[] = [];
  /** Told of each entry when it ends. */
  onEntry: ((entry: Entry) => void) | null = null;
  #lastMs = 0;
  #started = 0;

  /** The present position; each is above the one before, also when the clock is set back. */
  now(): number {
    this.#lastMs = Math.max(Date.now(), this.#lastMs + TICK_MS);
    return this.#lastMs;
  }

  get size(): number {
    return this.#started;
  }

  /** Notes a call; the answer ends it. One that is never ended stays out, so whoever begins one must end it. */
  begin<K extends OperationName>(
    client: string,
    op: K,
    input: Operations[K]['input'],
  ): (answer: Answer<Operations[K]['output']>) => EntryOf<K> {
    this.#started += 1;
    const n = this.#started;
    const call = this.now();
    return (answer) => {
      const entry = { n, client, op, input, call, end: this.now(), answer } as unknown as EntryOf<K>;
      this.entries.push(entry);
      this.onEntry?.(entry);
      return entry;
    };
  }

  /** Notes something that was learned without asking. */
  observe<K extends OperationName>(client: string, op: K, input: Operations[K]['input'], value: Operations[K]['output']): void {
    this.begin(client, op, input)({ kind: 'ok', value });
  }
}

export const toJsonLines = (entries: readonly Entry[]): string => entries.map((entry) => `${JSON.stringify(entry)}\n`).join('');

export function writeHistory(file: string, entries: readonly Entry[]): void {
  writeFileSync(file, toJsonLines(entries.toSorted((a, b) => a.call - b.call)));
}

export const readHistory = (file: string): readonly Entry[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Entry);
