import { isDone, isOf, type Done, type Entry, type EntryOf, type Granted } from '../../test/lib/history.ts';
import type { AllocationStatus } from '../../shared/schemas/allocations.ts';
import type { Liveness } from '../../shared/schemas/agents.ts';

/** Who reads everything at the end; what it saw is final. */
export const AUDITOR = 'auditor';

/** A span of the history: from the first moment something can have happened to the moment it was known. */
export interface Known {
  readonly call: number;
  readonly end: number;
}

export interface LeaseFacts {
  readonly id: string;
  readonly agentId: string;
  readonly token: number;
  /** `null` for a lease of a dispatched task. */
  readonly endsAtMs: number | null;
  readonly taskId: string | null;
  readonly slots: number;
  readonly granted: Known;
  /** How it ended, or `active` if it had not at the very end; `null` if nobody saw that. */
  readonly lastStatus: AllocationStatus | null;
}

export interface TaskFacts {
  readonly id: string;
  readonly payload: string;
  readonly maxAttempts: number;
  readonly submitted: Known;
  /** Its submission was answered, not only deduced. */
  readonly isAcknowledged: boolean;
}

export interface AgentFacts {
  readonly id: string;
  readonly pool: string;
  readonly slots: number;
  readonly liveness: Liveness;
  readonly registered: Known;
}

/** What a history says, indexed. Times of things that an unanswered call may have done reach back to that call. */
export class Facts {
  readonly entries: readonly Entry[];
  readonly agents = new Map<string, AgentFacts>();
  readonly leases = new Map<string, LeaseFacts>();
  readonly tasks = new Map<string, TaskFacts>();
  /** Tokens of the assignments of each task that were seen, with their leases. */
  readonly assignments = new Map<string, Map<number, string>>();
  readonly #deaths: readonly number[];
  readonly #firstTries = new Map<string, number>();
  readonly #byLease = new Map<string, Entry[]>();
  readonly #byTask = new Map<string, Entry[]>();

  constructor(entries: readonly Entry[]) {
    this.entries = entries.toSorted((a, b) => a.call - b.call);
    this.#deaths = this.entries.filter(isOf('kill')).map((kill) => kill.end);
    for (const entry of this.entries) this.#noteTry(entry);
    for (const entry of this.entries.filter(isDone('register'))) this.#noteAgent(entry);
    this.#noteTasks();
    this.#noteLeases();
    for (const entry of this.entries) this.#index(entry);
  }

  /** Calls under a lease, or that look at it, in the order of their calls. Those of its task are found by token. */
  onLease(id: string): readonly Entry[] {
    return this.#byLease.get(id) ?? [];
  }

  onTask(id: string): readonly Entry[] {
    return this.#byTask.get(id) ?? [];
  }

  /** The last moment at which a call without an answer can have done something: what was under way dies with the runtime. */
  lastMoment(entry: Entry): number {
    return this.#deaths.find((deadAt) => deadAt > entry.call) ?? Infinity;
  }

  #noteTry(entry: Entry): void {
    const id = tryId(entry);
    if (id === null || (entry.answer.kind !== 'ok' && entry.answer.kind !== 'open')) return;
    this.#firstTries.set(id, Math.min(this.#firstTries.get(id) ?? Infinity, entry.call));
  }

  #firstTry(entry: Entry): number {
    const id = tryId(entry);
    return (id === null ? undefined : this.#firstTries.get(id)) ?? entry.call;
  }

  #noteAgent(entry: Done<'register'>): void {
    const { agentId: id } = entry.answer.value;
    const end = Math.min(this.agents.get(id)?.registered.end ?? Infinity, entry.end);
    const { pool, slots, liveness } = entry.input;
    this.agents.set(id, { id, pool, slots, liveness, registered: { call: this.#firstTry(entry), end } });
  }

  #noteTasks(): void {
    const byPayload = new Map(this.entries.filter(isOf('submit')).map((entry) => [entry.input.payload, entry]));
    const note = (id: string, payload: string, seenAt: number, isAcknowledged: boolean): void => {
      const submit = byPayload.get(payload);
      const known = this.tasks.get(id);
      const call = submit === undefined ? (this.entries[0]?.call ?? 0) : this.#firstTry(submit);
      this.tasks.set(id, {
        id,
        payload,
        maxAttempts: submit?.input.maxAttempts ?? Infinity,
        submitted: { call: Math.min(call, seenAt), end: Math.min(known?.submitted.end ?? Infinity, seenAt) },
        isAcknowledged: isAcknowledged || known?.isAcknowledged === true,
      });
    };
    for (const { answer, input, end } of this.entries.filter(isDone('submit')))
      note(answer.value.taskId, input.payload, end, true);
    for (const { answer, call } of this.entries.filter(isDone('assigned'))) {
      note(answer.value.taskId, answer.value.payload, call, false);
      const { taskId, token, allocationId } = answer.value;
      const tokens = this.assignments.get(taskId) ?? new Map<number, string>();
      this.assignments.set(taskId, tokens.set(token, allocationId));
    }
  }

  #noteLeases(): void {
    const lastStatus = new Map<string, AllocationStatus>();
    for (const { input, answer, client } of this.entries.filter(isDone('getAllocation'))) {
      // An end is for ever; what was active may have ended since, unless it was seen in the audit.
      if (answer.value.status !== 'active' || client === AUDITOR) lastStatus.set(input.allocationId, answer.value.status);
    }
    const superseded = new Set(
      this.entries
        .filter(isOf('renew', 'release'))
        .filter(({ answer }) => answer.kind === 'refused' && answer.code === 'lease_superseded')
        .map(({ input }) => `${input.allocationId} ${input.token}`),
    );
    const note = (lease: Omit<LeaseFacts, 'lastStatus'>): void => {
      // Who is told that its own token is superseded has lost the lease, also if nobody looked later.
      const seen = lastStatus.get(lease.id) ?? (superseded.has(`${lease.id} ${lease.token}`) ? 'revoked' : null);
      const known = this.leases.get(lease.id);
      const granted = {
        call: Math.min(known?.granted.call ?? Infinity, lease.granted.call),
        end: Math.min(known?.granted.end ?? Infinity, lease.granted.end),
      };
      this.leases.set(lease.id, { ...lease, granted, lastStatus: seen });
    };
    for (const entry of this.entries.filter(isDone('allocate'))) {
      for (const lease of entry.answer.value.leases) {
        note({
          ...factsOf(lease),
          endsAtMs: lease.endsAtMs,
          taskId: null,
          slots: lease.slots,
          granted: { call: this.#firstTry(entry), end: entry.end },
        });
      }
    }
    for (const { answer, input, call } of this.entries.filter(isDone('assigned'))) {
      const { allocationId: id, taskId, token } = answer.value;
      const since = this.tasks.get(taskId)?.submitted.call ?? call;
      note({ id, agentId: input.agentId, token, endsAtMs: null, taskId, slots: 1, granted: { call: since, end: call } });
    }
  }

  #index(entry: Entry): void {
    if (isOf('renew', 'release', 'getAllocation')(entry)) push(this.#byLease, entry.input.allocationId, entry);
    if (isOf('progress', 'complete', 'fail')(entry)) {
      push(this.#byTask, entry.input.taskId, entry);
      const leaseId = this.assignments.get(entry.input.taskId)?.get(entry.input.token);
      if (leaseId !== undefined) push(this.#byLease, leaseId, entry);
    }
    if (isOf('cancel', 'getTask')(entry)) push(this.#byTask, entry.input.taskId, entry);
    if (isDone('assigned')(entry)) push(this.#byTask, entry.answer.value.taskId, entry);
  }
}

const factsOf = ({ allocationId, agentId, token }: Granted): Pick<LeaseFacts, 'id' | 'agentId' | 'token'> => ({
  id: allocationId,
  agentId,
  token,
});

function push<V>(map: Map<string, V[]>, key: string, value: V): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

/** Calls that may all stand for one doing: those of one idempotency key. */
function tryId(entry: Entry): string | null {
  if (!isOf('allocate', 'submit', 'register')(entry)) return null;
  const { key } = entry.input as EntryOf<'allocate'>['input'];
  return key === null ? null : `${entry.op} ${key}`;
}
