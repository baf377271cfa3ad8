import { LIMITS } from '../../shared/limits.ts';
import type { AgentIndex } from '../../durable-objects/pool/core/agent-index.ts';
import { nextAlarmMs } from '../../durable-objects/pool/core/due.ts';
import type { TaskRecord } from '../../durable-objects/pool/core/records.ts';
import { choose, DEFAULT_PREFERENCE } from '../../durable-objects/pool/core/selection.ts';
import type { LiveAgent } from '../../durable-objects/pool/core/live-agent.ts';
import {
  emptyAgentCounts,
  emptyTaskCounts,
  hasSiblings,
  isSelectable,
  statusOf,
  type PoolState,
} from '../../durable-objects/pool/core/state.ts';

/** What a look at the state needs from outside. */
export interface Look {
  readonly nowMs: number;
  /** The latest the clock ever was: what was set by it is due by it when the clock is set back. */
  readonly latestMs: number;
  /** Whether a step has just run: what fell due since the last one is nobody's fault. */
  readonly stepped: boolean;
  readonly lastPongAtMs: (agentId: string) => number | null;
  /** Ended tasks by status, as stored: the counters include them. */
  readonly ended: Readonly<Record<string, number>>;
}

type Note = (text: string) => void;

/** Everything about a state that must hold after every step and does not, in words. Recomputed from scratch, by other code. */
export function poolViolations(state: PoolState, look: Look): readonly string[] {
  const found: string[] = [];
  const note: Note = (text) => void found.push(text);
  checkLeases(state, note);
  if (look.stepped) checkDue(state, look.nowMs, note);
  checkTasks(state, note);
  checkCounters(state, look, note);
  checkIndexes(state, note);
  checkGates(state, note);
  checkAlarm(state, look, note);
  checkSettled(state, look, note);
  checkHoldings(state, note);
  checkRevocations(state, note);
  return found;
}

/** I1, and that leases, agents and tasks agree about each other. */
function checkLeases(state: PoolState, note: Note): void {
  const used = new Map<string, number>();
  for (const lease of state.leases.values()) {
    const agent = state.agents.get(lease.agentId);
    if (agent === undefined) {
      note(`lease ${lease.id} of an agent that is not here`);
      continue;
    }
    used.set(lease.agentId, (used.get(lease.agentId) ?? 0) + lease.slots);
    if (!agent.leases.has(lease.id)) note(`agent ${lease.agentId} does not know its lease ${lease.id}`);
    if (lease.status !== 'active' || lease.endedAtMs !== null) note(`live lease ${lease.id} is ${lease.status}`);
    if (lease.fencingToken > state.lastFence) note(`token ${lease.fencingToken} above the shard’s last, ${state.lastFence}`);
    if (lease.kind === 'dispatched' && lease.loan === undefined && state.tasks.get(lease.taskId ?? '')?.allocationId !== lease.id)
      note(`dispatched lease ${lease.id} without its task`);
  }
  checkLoans(state, note);
  for (const agent of state.agents.values()) {
    const { id, lifecycle, spec } = agent.record;
    const slots = used.get(id) ?? 0;
    if (slots !== agent.slotsUsed) note(`agent ${id} counts ${agent.slotsUsed} slots used, its leases hold ${slots}`);
    if (slots > spec.slots) note(`agent ${id} has ${spec.slots} slots, its leases hold ${slots}`);
    for (const lease of agent.leases) if (!state.leases.has(lease)) note(`agent ${id} holds ${lease}, which has ended`);
    if ((lifecycle === 'offline' || lifecycle === 'quarantined') && agent.leases.size > 0)
      note(`agent ${id} is ${lifecycle} and holds leases`);
    if (agent.sessionOpen && !agent.record.onSession) note(`agent ${id} has a socket but not its rules`);
    const awaited = agent.record.onSession && !agent.sessionOpen;
    if (awaited && agent.record.suspectSinceMs === null && lifecycle !== 'quarantined')
      note(`agent ${id} lost its socket unnoticed`);
    if (agent.record.totalDurationMs < 0) note(`agent ${id} has worked ${agent.record.totalDurationMs} ms`);
    if (agent.record.removeWhenFree && agent.leases.size === 0) note(`agent ${id} should have left`);
  }
}

/** Loans of both sides stand where their records say. */
function checkLoans(state: PoolState, note: Note): void {
  const held = new Set<string>();
  for (const lease of state.leases.values()) {
    if (lease.loan === undefined || lease.taskId === null) continue;
    held.add(lease.id);
    if (state.loanTokens.get(lease.fencingToken) !== lease.id) note(`loan ${lease.id} is not found by its token`);
    if (lease.taskId.startsWith(prefixOf(state))) note(`loan ${lease.id} is for a task of this shard`);
    if (lease.loan.returned !== null) note(`live loan ${lease.id} was taken back`);
  }
  same('loans', new Set(state.loans.keys()), held, note);
  same('tokens of loans', new Set(state.loanTokens.values()), held, note);
  for (const lease of state.returns.values()) {
    if (lease.status === 'active' || lease.endedAtMs !== null || lease.loan?.returned == null)
      note(`loan ${lease.id} was not taken back`);
    if (state.leases.has(lease.id)) note(`loan ${lease.id} was taken back and lives`);
  }
  const lent = [...state.tasks.values()].filter((task) => task.loan !== undefined).map((task) => task.id);
  same('lent tasks', new Set(state.lent.keys()), new Set(lent), note);
}

const prefixOf = ({ home }: PoolState): string => `tsk.${home.region}.${home.pool}.${home.shard}.`;

/** What was due by now has been done, as long as it is less than one step does. */
function checkDue(state: PoolState, nowMs: number, note: Note): void {
  const due = (what: string, atMs: number | null): void => {
    if (atMs !== null && atMs <= nowMs) note(`${what} was due at ${atMs}, it is ${nowMs}`);
  };
  const dueBefore = (what: string, atMs: number | null): void => {
    // What a command makes due at once is done by the alarm that follows at once.
    due(what, atMs === nowMs ? null : atMs);
  };
  for (const lease of state.leases.values()) {
    due(`the end of lease ${lease.id}`, lease.kind === 'direct' ? lease.expiresAtMs : lease.timeoutAtMs);
    if (lease.kind === 'dispatched') due(`the judgement of lease ${lease.id}`, lease.expiresAtMs);
  }
  for (const waiter of state.waiters.values()) due(`the end of waiter ${waiter.id}`, waiter.endsAtMs);
  for (const task of state.tasks.values()) {
    due(`the deadline of ${task.id}`, task.deadlineAtMs);
    due(`the cancelling of ${task.id}`, task.cancelDueAtMs);
    if (task.status === 'queued' && task.waitsFor.length === 0 && task.notBeforeMs > 0)
      due(`the start of ${task.id}`, task.notBeforeMs);
  }
  for (const agent of state.agents.values()) {
    const { id, lifecycle, lostAtMs, drainDeadlineAtMs, suspectSinceMs, onSession } = agent.record;
    if (lifecycle === 'offline') due(`the removal of ${id}`, (lostAtMs ?? 0) + LIMITS.offlineRetentionMs);
    if (lifecycle === 'draining' && agent.leases.size > 0) dueBefore(`the drain deadline of ${id}`, drainDeadlineAtMs);
    const closed = onSession && !agent.sessionOpen && lifecycle !== 'quarantined';
    if (closed && suspectSinceMs !== null) due(`the grace of ${id}`, suspectSinceMs + LIMITS.sessionGraceMs);
    if (state.beatOrder.has(id))
      due(`the loss of ${id}`, state.beatOrder.values().next().value === agent ? agent.aliveAsOfMs + LIMITS.lostAfterMs : null);
  }
}

/** I7: each live task is in exactly one state, and stands where that state says. */
function checkTasks(state: PoolState, note: Note): void {
  const waiting = new Set<string>([...state.waiters.keys()].filter((id) => !state.holdings.isOutside(id)));
  for (const task of state.tasks.values()) {
    if (task.completedAtMs !== null) note(`live task ${task.id} has ended`);
    if (task.attempts > task.maxAttempts || task.attempts < 0) note(`task ${task.id} has ${task.attempts} attempts`);
    for (const id of task.waitsFor) {
      if (state.dependents.get(id)?.has(task.id) !== true) note(`nobody tells task ${task.id} of ${id}`);
      if (id.startsWith(prefixOf(state)) && !state.tasks.has(id)) note(`task ${task.id} waits for ${id}, which has ended`);
    }
    if (task.status === 'queued') {
      if (task.allocationId !== null || task.agentId !== null) note(`queued task ${task.id} is held`);
      if (isReady(task) && !isGated(state, task)) waiting.add(task.id);
    } else if (task.status === 'assigned' || task.status === 'running') {
      const lease = state.leases.get(task.allocationId ?? '');
      if (task.loan !== undefined) {
        if (lease !== undefined) note(`task ${task.id} is lent and held here`);
      } else if (lease === undefined) note(`task ${task.id} is ${task.status} without a live lease`);
      else if (lease.taskId !== task.id || lease.fencingToken !== task.fencingToken || lease.agentId !== task.agentId)
        note(`task ${task.id} and its lease disagree`);
    } else note(`live task ${task.id} is ${task.status}`);
  }
  for (const [id, dependents] of state.dependents)
    for (const task of dependents)
      if (state.tasks.get(task)?.waitsFor.includes(id) !== true) note(`${task} no longer waits for ${id}`);
  same('queue', new Set(state.queue.ids()), waiting, note);
  const sizes = [...state.queue.groups()].reduce((sum, group) => sum + group.size, 0);
  if (sizes !== state.queue.size) note(`groups hold ${sizes} entries, the queue ${state.queue.size}`);
}

export const isReady = (task: TaskRecord): boolean => task.notBeforeMs === 0 && task.waitsFor.length === 0;
const isGated = (state: PoolState, task: TaskRecord): boolean =>
  task.concurrency !== null && state.gates.get(task.concurrency.key)?.waiting.has(task.id) === true;

/** I8: counters equal a recount. */
function checkCounters(state: PoolState, look: Look, note: Note): void {
  const agents = emptyAgentCounts();
  let slotsFree = 0;
  for (const agent of state.agents.values()) {
    agents[statusOf(agent)] += 1;
    agents.total += 1;
    if (isSelectable(agent)) slotsFree += agent.record.spec.slots - agent.slotsUsed;
  }
  const tasks = emptyTaskCounts();
  for (const task of state.tasks.values()) tasks[task.status] += 1;
  for (const [status, n] of Object.entries(look.ended)) tasks[status as keyof typeof tasks] += n;
  equal('agent counters', state.agentCounts, agents, note);
  equal('task counters', state.taskCounts, tasks, note);
  equal('free slots', state.slotsFree, slotsFree, note);
}

/** Indexes agree with the records they are made from. */
function checkIndexes(state: PoolState, note: Note): void {
  const selectable = new Map<string, LiveAgent>();
  const taskReady = new Map<string, LiveAgent>();
  const beating = new Set<string>();
  const takesTasks = new Set<string>();
  for (const agent of state.agents.values()) {
    const { id, spec, lifecycle, onSession } = agent.record;
    if (isSelectable(agent)) {
      selectable.set(id, agent);
      if (agent.sessionOpen || agent.pollRoom > 0) taskReady.set(id, agent);
    }
    const inService = lifecycle === 'ready' || lifecycle === 'starting';
    if (inService && (spec.liveness !== 'none' || agent.sessionOpen)) takesTasks.add(id);
    const judged = lifecycle === 'ready' || lifecycle === 'draining';
    if (judged && spec.liveness === 'heartbeat' && !agent.sessionOpen && !onSession && agent.pollRoom === 0) beating.add(id);
  }
  checkIndex('selectable', state.selectable, selectable, state.agents.size, note);
  checkIndex('taskReady', state.taskReady, taskReady, takesTasks.size, note);
  same('beat order', new Set(state.beatOrder.keys()), beating, note);
}

function checkIndex(
  name: string,
  index: AgentIndex,
  expected: ReadonlyMap<string, LiveAgent>,
  members: number,
  note: Note,
): void {
  const found = new Set<string>();
  let [counted, placed] = [0, 0];
  for (const klass of index.classes()) {
    counted += klass.members.size;
    if (klass.members.size === 0 && klass.runs.size === 0) note(`${name}: an empty class stays`);
    for (const [free, run] of klass.runs) {
      if (run.places.size === 0) note(`${name}: an empty run stays`);
      placed += run.places.size;
      for (const { agent } of run.places) {
        const { id, spec } = agent.record;
        if (found.has(id)) note(`${name}: ${id} stands twice`);
        found.add(id);
        if (spec.slots - agent.slotsUsed !== free)
          note(`${name}: ${id} stands among those with ${free} slots free, has ${spec.slots - agent.slotsUsed}`);
        if (spec.slots !== klass.slots || spec.capabilities.some((c) => !klass.capabilities.has(c)))
          note(`${name}: ${id} stands in another class`);
      }
    }
  }
  same(name, found, new Set(expected.keys()), note);
  if (index.total.placed !== placed) note(`${name}: ${index.total.placed} placed are counted, there are ${placed}`);
  if (counted !== members) note(`${name}: ${counted} members counted, there are ${members}`);
}

/** Concurrency keys: nobody waits at a gate that has room, and whoever is under way is inside. */
function checkGates(state: PoolState, note: Note): void {
  for (const task of state.tasks.values()) {
    if (task.concurrency === null) continue;
    const gate = state.gates.get(task.concurrency.key);
    const inside = gate?.admitted.has(task.id) === true;
    if (task.status !== 'queued' && !inside) note(`task ${task.id} is ${task.status} outside of its gate`);
    if (task.status === 'queued' && isReady(task) && !inside && gate?.waiting.has(task.id) !== true)
      note(`task ${task.id} is neither inside nor at its gate`);
    if (inside && !isReady(task) && task.status === 'queued') note(`task ${task.id} holds a place while it waits`);
  }
  for (const [key, gate] of state.gates.entries()) {
    for (const id of [...gate.admitted, ...gate.waiting.keys()])
      if (!state.tasks.has(id)) note(`gate ${key} holds ${id}, which has ended`);
    if (gate.waiting.size > 0 && gate.admitted.size < gate.limit)
      note(`gate ${key} has ${gate.admitted.size} of ${gate.limit} inside while ${gate.waiting.size} wait`);
    if (gate.admitted.size + gate.waiting.size === 0) note(`an empty gate stays: ${key}`);
  }
}

/** Who holds how many leases equals a recount; a wait stands outside the queue only while its caller holds its quota. */
function checkHoldings(state: PoolState, note: Note): void {
  const held = new Map<string, number>();
  for (const { holder } of state.leases.values()) if (holder != null) held.set(holder, (held.get(holder) ?? 0) + 1);
  equal(
    'holdings',
    Object.fromEntries([...state.holdings.entries()].toSorted(byName)),
    Object.fromEntries([...held].toSorted(byName)),
    note,
  );
  for (const { id, callerSubject, quota, spec } of state.waiters.values()) {
    if (!state.holdings.isOutside(id)) continue;
    if (quota === null || (held.get(callerSubject) ?? 0) + spec.count <= quota.share)
      note(`waiter ${id} is kept out for nothing`);
  }
}

const byName = ([a]: readonly [string, number], [b]: readonly [string, number]): number => (a < b ? -1 : 1);

/** A revocation under way ends some time; nobody has acknowledged what has not happened, or is still to be told of the old. */
function checkRevocations(state: PoolState, note: Note): void {
  for (const { epoch, endedAtMs } of state.revocations.values())
    if (endedAtMs !== null || epoch > state.epoch) note(`revocation ${epoch} is not under way`);
  for (const { record, revoked, acknowledgedEpoch } of state.agents.values()) {
    if (acknowledgedEpoch > state.epoch) note(`agent ${record.id} has acknowledged ${acknowledgedEpoch} of ${state.epoch}`);
    if (revoked.some(({ epoch }) => epoch <= acknowledgedEpoch)) note(`agent ${record.id} is still to be told of the old`);
  }
}

/** I10, first half: whatever will fall due has an alarm that is not later. */
function checkAlarm(state: PoolState, look: Look, note: Note): void {
  const alarmMs = nextAlarmMs(state) ?? Number.POSITIVE_INFINITY;
  const by = (what: string, atMs: number | null): void => {
    if (atMs !== null && alarmMs > atMs) note(`the alarm at ${alarmMs} is too late for ${what} at ${atMs}`);
  };
  for (const lease of state.leases.values()) if (!state.spoken.has(lease.id)) by(`lease ${lease.id}`, lease.expiresAtMs);
  for (const [id, lent] of state.lent)
    by(`lent task ${id}`, Math.min(lent.heardAtMs + LIMITS.lostAfterMs, state.tasks.get(id)?.loan?.timeoutAtMs ?? 0));
  if (state.loans.size > 0) by('the word to the homes of loans', look.latestMs + LIMITS.loanBeatMs);
  if (state.returns.size > 0) by('the return of loans', look.latestMs + LIMITS.loanRetryMs);
  if (hasSiblings(state) && state.queue.size > 0) by('the question to siblings', look.latestMs + LIMITS.borrowEveryMs);
  for (const waiter of state.waiters.values()) by(`waiter ${waiter.id}`, waiter.endsAtMs);
  if (state.revocations.size > 0) by('a revocation', look.latestMs + LIMITS.revokeResumeMs);
  for (const task of state.tasks.values()) {
    if (task.status === 'queued' && task.waitsFor.length === 0 && task.notBeforeMs > 0) by(`task ${task.id}`, task.notBeforeMs);
    by(`deadline of ${task.id}`, task.deadlineAtMs);
    by(`cancel of ${task.id}`, task.cancelDueAtMs);
  }
  for (const agent of state.agents.values()) {
    const { id, lifecycle, suspectSinceMs, drainDeadlineAtMs, lostAtMs } = agent.record;
    if (suspectSinceMs !== null && lifecycle !== 'quarantined' && lifecycle !== 'offline') {
      const graceMs = agent.record.onSession && !agent.sessionOpen ? LIMITS.sessionGraceMs : LIMITS.lostAfterMs;
      by(`grace of ${id}`, Math.max(suspectSinceMs, agent.aliveAsOfMs) + graceMs);
    }
    if (lifecycle === 'draining' && agent.leases.size > 0) by(`drain of ${id}`, drainDeadlineAtMs);
    if (lifecycle === 'offline') by(`removal of ${id}`, (lostAtMs ?? 0) + LIMITS.offlineRetentionMs);
    if (lifecycle !== 'offline' && lifecycle !== 'quarantined') by(`sweep of ${id}`, look.latestMs + LIMITS.sweepIntervalMs);
  }
}

/** I10, second half: nothing that waits could be served now. */
function checkSettled(state: PoolState, look: Look, note: Note): void {
  const usable = (agent: LiveAgent): boolean => {
    if (!isSelectable(agent)) return false;
    if ((agent.record.spec.liveness === 'none' && !agent.sessionOpen) || agent.pollRoom > 0) return true;
    const pongMs = agent.sessionOpen ? (look.lastPongAtMs(agent.record.id) ?? 0) : 0;
    return look.nowMs - Math.max(agent.aliveAsOfMs, pongMs) <= LIMITS.suspectAfterMs;
  };
  for (const group of state.queue.groups()) {
    const head = state.queue.head(group, look.nowMs);
    if (head === undefined) note(`group ${group.key} is empty`);
    else if (choose(state, group.demand, DEFAULT_PREFERENCE, usable) !== null) note(`${head.entry.id} waits and could be served`);
  }
}

function same(what: string, found: ReadonlySet<string>, expected: ReadonlySet<string>, note: Note): void {
  for (const id of found) if (!expected.has(id)) note(`${what}: ${id} does not belong`);
  for (const id of expected) if (!found.has(id)) note(`${what}: ${id} is missing`);
}

function equal(what: string, found: unknown, expected: unknown, note: Note): void {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  if (a !== b) note(`${what}: ${a}, a recount gives ${b}`);
}
