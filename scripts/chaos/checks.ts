import { parseId } from '../../shared/ids.ts';
import { LIMITS } from '../../shared/limits.ts';
import { CLOCK_SLACK_MS } from '../../test/lib/models/clock.ts';
import { isDone, isOf, type Done, type Entry } from '../../test/lib/history.ts';
import { AUDITOR, type Facts, type LeaseFacts } from './facts.ts';
import type { Violation } from './violation.ts';
import { TIGHT_POOL, TIGHT_POOL_MAX } from './world.ts';

/*
 * What a history must not show, asked directly: less complete than the search for an order, but each finding names the
 * promise that was broken. All of them conclude only from what was acknowledged.
 */
type Check = (facts: Facts) => Iterable<Violation>;

/** H1: the slots of an agent that were certainly held at one moment are not more than it has. */
function* oneHolder(facts: Facts): Iterable<Violation> {
  for (const [agentId, leases] of Map.groupBy(facts.leases.values(), (lease) => lease.agentId)) {
    const slotsMax = facts.agents.get(agentId)?.slots ?? Infinity;
    let before: Held[] = [];
    for (const one of leases.map((lease) => heldOf(facts, lease)).toSorted((a, b) => a.from - b.from)) {
      // Held when this one's answer came, or throughout its call: it was granted at some moment of that.
      const atAnswer = before.filter(({ until }) => one.until > one.from && until > one.from);
      const throughout = before.filter(({ from, until }) => from < one.lease.granted.call && until > one.from);
      before = [...before.filter(({ until }) => until > one.from), one];
      for (const others of [atAnswer, throughout]) {
        const together = [...others, one].map(({ lease }) => lease);
        if (together.reduce((sum, lease) => sum + lease.slots, 0) <= slotsMax) continue;
        yield {
          rule: 'H1',
          text: `agent ${agentId} has ${slotsMax} slots, yet these leases were live together: ${together.map(({ id, slots, token }) => `${id} (${slots}, token ${token})`).join(', ')}`,
          entries: together.flatMap((lease) => grantsOf(facts, lease)),
        };
        break;
      }
    }
  }
}

/** The time through which a lease was certainly held, which may be no time at all. */
interface Held {
  readonly lease: LeaseFacts;
  readonly from: number;
  readonly until: number;
}
const heldOf = (facts: Facts, lease: LeaseFacts): Held => ({ lease, from: lease.granted.end, until: heldUntil(facts, lease) });

/** The last moment at which a lease was certainly held: somebody used it then, saw it, or nothing but the clock has ended it. */
function heldUntil(facts: Facts, lease: LeaseFacts): number {
  let until = lease.granted.end;
  // What is released again was released before; only the first such call shows that it was held.
  let isReleased = false;
  for (const entry of facts.onLease(lease.id)) {
    if (entry.answer.kind !== 'ok') continue;
    if (isDone('getAllocation')(entry)) {
      if (entry.answer.value.status === 'active') until = Math.max(until, entry.call);
      if (entry.answer.value.status === 'expired') until = Math.max(until, entry.answer.value.endsAtMs - CLOCK_SLACK_MS);
    } else if (isOf('release', 'complete', 'fail')(entry)) {
      if (!isReleased && entry.input.token === lease.token && isFirstEnd(facts, lease, entry))
        until = Math.max(until, entry.call);
      isReleased = true;
    } else if (isOf('renew', 'progress')(entry) && entry.input.token === lease.token) until = Math.max(until, entry.call);
  }
  return until;
}

/** Whether no other call can have released the lease before this one did. */
const isFirstEnd = (facts: Facts, lease: LeaseFacts, entry: Entry): boolean =>
  facts
    .onLease(lease.id)
    .every(
      (other) =>
        other === entry ||
        !isOf('release', 'complete', 'fail')(other) ||
        other.call > entry.end ||
        other.answer.kind === 'refused' ||
        other.answer.kind === 'unsent',
    );

const grantsOf = (facts: Facts, lease: LeaseFacts): readonly Entry[] =>
  facts.entries.filter(
    (entry) =>
      (isDone('allocate')(entry) && entry.answer.value.leases.some((granted) => granted.allocationId === lease.id)) ||
      (isDone('assigned')(entry) && entry.answer.value.allocationId === lease.id),
  );

/** H2: tokens of an agent are unique, and rise with the order of its grants. */
function* risingTokens(facts: Facts): Iterable<Violation> {
  for (const [agentId, leases] of Map.groupBy(facts.leases.values(), (lease) => lease.agentId)) {
    for (const [token, same] of Map.groupBy(leases, (lease) => lease.token)) {
      if (same.length > 1)
        yield {
          rule: 'H2',
          text: `agent ${agentId}: ${same.length} leases carry token ${token}`,
          entries: same.flatMap((l) => grantsOf(facts, l)),
        };
    }
    // Against the highest token that was answered before the grant was asked for.
    const byEnd = leases.toSorted((a, b) => a.granted.end - b.granted.end);
    let highest: LeaseFacts | undefined;
    let next = 0;
    for (const lease of leases.toSorted((a, b) => a.granted.call - b.granted.call)) {
      for (let one = byEnd[next]; one !== undefined && one.granted.end < lease.granted.call; one = byEnd[next]) {
        if (highest === undefined || one.token > highest.token) highest = one;
        next += 1;
      }
      if (highest === undefined || lease.token > highest.token) continue;
      yield {
        rule: 'H2',
        text: `agent ${agentId}: token ${lease.token} was granted after token ${highest.token}`,
        entries: [...grantsOf(facts, highest), ...grantsOf(facts, lease)],
      };
    }
  }
}

/** H3: one id is given once. */
function* uniqueIds(facts: Facts): Iterable<Violation> {
  const givenBy = new Map<string, Entry>();
  for (const entry of facts.entries) {
    for (const id of idsOf(entry)) {
      const other = givenBy.get(id);
      if (other === undefined) givenBy.set(id, entry);
      else if (doing(other) !== doing(entry)) yield { rule: 'H3', text: `${id} was given twice`, entries: [other, entry] };
    }
  }
}

function idsOf(entry: Entry): readonly string[] {
  if (isDone('register')(entry)) return [entry.answer.value.agentId];
  if (isDone('submit')(entry)) return [entry.answer.value.taskId];
  return isDone('allocate')(entry) ? entry.answer.value.leases.map((lease) => lease.allocationId) : [];
}
/** Calls with the same key are one doing. */
const doing = (entry: Entry): string => {
  const key = isOf('register', 'submit', 'allocate')(entry) ? (entry.input as { readonly key: string | null }).key : null;
  return key === null ? `#${entry.n}` : `${entry.op} ${key}`;
};

/** H4: nothing is accepted with another token than that of the lease, or of an assignment of the task. */
function* onlyOwnToken(facts: Facts): Iterable<Violation> {
  for (const lease of facts.leases.values()) {
    for (const entry of facts.onLease(lease.id)) {
      if (!isOf('renew', 'release')(entry) || entry.input.token === lease.token) continue;
      if (entry.answer.kind === 'ok') {
        yield {
          rule: 'H4',
          text: `${entry.op} of ${lease.id} (token ${lease.token}) was accepted with token ${entry.input.token}`,
          entries: [entry],
        };
      } else if (entry.answer.kind === 'refused' && entry.answer.code !== 'lease_superseded') {
        yield {
          rule: 'H4',
          text: `${entry.op} of ${lease.id} with a wrong token was refused as ${entry.answer.code}`,
          entries: [entry],
        };
      }
    }
  }
  for (const task of facts.tasks.values()) {
    for (const entry of facts.onTask(task.id)) {
      if (!isOf('progress', 'complete', 'fail')(entry) || entry.answer.kind !== 'ok') continue;
      if (facts.assignments.get(task.id)?.has(entry.input.token) === true) continue;
      yield {
        rule: 'H4',
        text: `${entry.op} of ${task.id} was accepted with token ${entry.input.token}, which nobody was given`,
        entries: [entry],
      };
    }
  }
}

/** H5: nothing is accepted on a lease after the latest end it can have had. */
function* nothingAfterTheEnd(facts: Facts): Iterable<Violation> {
  for (const lease of facts.leases.values()) {
    if (lease.endsAtMs === null) continue;
    let latest = lease.endsAtMs;
    let isReleased = false;
    for (const entry of facts.onLease(lease.id)) {
      if (!isOf('renew', 'release')(entry) || entry.input.token !== lease.token) continue;
      const isOk = entry.answer.kind === 'ok';
      if (isOk && !isReleased && entry.call > latest + CLOCK_SLACK_MS) {
        yield {
          rule: 'H5',
          text: `${entry.op} of ${lease.id} was accepted ${Math.round(entry.call - latest)} ms after its end`,
          entries: [entry],
        };
      }
      if (isDone('renew')(entry)) latest = Math.max(latest, entry.answer.value.endsAtMs);
      else if (entry.op === 'renew' && entry.answer.kind === 'open')
        latest = Math.max(latest, facts.lastMoment(entry) + entry.input.leaseMs);
      if (entry.op === 'release' && (isOk || entry.answer.kind === 'open')) isReleased = true;
    }
  }
}

/** H6: a release frees its own lease only, once; again it is the same success. */
function* releaseOnce(facts: Facts): Iterable<Violation> {
  for (const lease of facts.leases.values()) {
    const calls = facts.onLease(lease.id);
    const right = calls.filter(isOf('release', 'complete', 'fail')).filter((entry) => entry.input.token === lease.token);
    const firstOk = right.find((entry) => entry.answer.kind === 'ok');
    if (lease.lastStatus === 'released' && !right.some(({ answer }) => answer.kind === 'ok' || answer.kind === 'open')) {
      yield { rule: 'H6', text: `${lease.id} is released, but nobody released it`, entries: calls };
    }
    if (firstOk === undefined || firstOk.op !== 'release') continue;
    for (const entry of right) {
      if (entry.call > firstOk.end && entry.answer.kind === 'refused' && entry.answer.status === 409)
        yield { rule: 'H6', text: `${lease.id} was released, yet releasing it again was refused`, entries: [firstOk, entry] };
    }
  }
}

/** H7: what was acknowledged is found again, as it was acknowledged. */
function* nothingLost(facts: Facts): Iterable<Violation> {
  const removals = Map.groupBy(facts.entries.filter(isOf('deregister')), ({ input }) => input.agentId);
  const kept = new Map<string, Done<'drain'> | Done<'quarantine'>>();
  for (const entry of facts.entries) {
    const isMissing = entry.answer.kind === 'refused' && entry.answer.code === 'not_found';
    if (isDone('drain')(entry) || isDone('quarantine')(entry)) kept.set(entry.input.agentId, entry);
    if (isOf('getAllocation', 'renew', 'release')(entry)) {
      const lease = facts.leases.get(entry.input.allocationId);
      if (lease === undefined) continue;
      if (isMissing)
        yield { rule: 'H7', text: `acknowledged lease ${lease.id} is gone`, entries: [...grantsOf(facts, lease), entry] };
      if (!isDone('getAllocation')(entry)) continue;
      const { agentId, token, slots } = entry.answer.value;
      if (agentId !== lease.agentId || token !== lease.token || slots !== lease.slots)
        yield { rule: 'H7', text: `${lease.id} is not as it was granted`, entries: [...grantsOf(facts, lease), entry] };
    } else if (isOf('getTask', 'cancel')(entry) && isMissing && facts.tasks.has(entry.input.taskId)) {
      yield { rule: 'H7', text: `acknowledged task ${entry.input.taskId} is gone`, entries: [entry] };
    } else if (isOf('getAgent')(entry) && facts.agents.has(entry.input.agentId)) {
      const { agentId } = entry.input;
      const isRemoved = removals
        .get(agentId)
        ?.some((r) => r.call < entry.end && (r.answer.kind === 'ok' || r.answer.kind === 'open'));
      if (isMissing && isRemoved !== true) yield { rule: 'H7', text: `acknowledged agent ${agentId} is gone`, entries: [entry] };
      const order = kept.get(agentId);
      if (order === undefined || order.end >= entry.call || !isDone('getAgent')(entry)) continue;
      if (!['draining', 'quarantined', 'offline'].includes(entry.answer.value.status))
        yield {
          rule: 'H7',
          text: `agent ${agentId} is ${entry.answer.value.status} after ${order.op} was acknowledged`,
          entries: [order, entry],
        };
    }
  }
}

/** H7 and H8: a task is completed at most once, and stays completed. */
function* completedOnce(facts: Facts): Iterable<Violation> {
  for (const task of facts.tasks.values()) {
    const entries = facts.onTask(task.id);
    const completions = entries.filter(isDone('complete'));
    if (new Set(completions.map(({ input }) => input.token)).size > 1)
      yield { rule: 'H8', text: `${task.id} was completed twice`, entries: completions };
    const [first] = completions;
    for (const entry of entries.filter(isDone('getTask'))) {
      const { status, attempts, result } = entry.answer.value;
      if (first !== undefined && entry.call > first.end && (status !== 'succeeded' || result !== first.input.result))
        yield {
          rule: 'H7',
          text: `${task.id} was completed, yet it is ${status} with result ${result}`,
          entries: [first, entry],
        };
      if (
        status === 'succeeded' &&
        !entries.some((e) => isOf('complete')(e) && (e.answer.kind === 'ok' || e.answer.kind === 'open'))
      )
        yield { rule: 'H8', text: `${task.id} has succeeded, but nobody completed it`, entries };
      if (attempts > task.maxAttempts)
        yield { rule: 'H17', text: `${task.id} was attempted ${attempts} times of ${task.maxAttempts}`, entries: [entry] };
    }
  }
}

/** H9: one idempotency key, one answer; with another body it is refused. */
function* oneAnswerPerKey(facts: Facts): Iterable<Violation> {
  const calls = facts.entries.filter(isOf('register', 'submit', 'allocate')).filter(({ input }) => input.key !== null);
  for (const [name, same] of Map.groupBy(calls, doing)) {
    const done = same.filter((e) => isDone('register')(e) || isDone('submit')(e) || isDone('allocate')(e));
    const answers = new Set(done.map((e) => (e.answer.kind === 'ok' ? e.answer.value.hash : '')));
    if (answers.size > 1) yield { rule: 'H9', text: `${name} has ${answers.size} different answers`, entries: done };
    if (new Set(done.map(({ input }) => input.body)).size > 1)
      yield { rule: 'H9', text: `${name} was accepted with different bodies`, entries: done };
  }
}

/** H10: an agent that is certainly gone is granted to nobody. */
function* noMissingAgent(facts: Facts): Iterable<Violation> {
  const gone = new Map<string, Done<'deregister'>>();
  for (const entry of facts.entries.filter(isDone('deregister'))) {
    if (entry.answer.value.status === 'offline' && !gone.has(entry.input.agentId)) gone.set(entry.input.agentId, entry);
  }
  for (const lease of facts.leases.values()) {
    const removal = gone.get(lease.agentId);
    if (removal !== undefined && lease.taskId === null && lease.granted.call > removal.end)
      yield {
        rule: 'H10',
        text: `agent ${lease.agentId} was granted after it was removed`,
        entries: [removal, ...grantsOf(facts, lease)],
      };
  }
}

/** H7 for tokens: one that was minted works, one that was revoked is refused everywhere within the time that is promised. */
function* tokensLast(facts: Facts): Iterable<Violation> {
  const revocations = Map.groupBy(facts.entries.filter(isOf('revoke')), ({ input }) => input.tokenId);
  for (const use of facts.entries.filter(isOf('useToken'))) {
    const { tokenId } = use.input;
    const asked = (revocations.get(tokenId) ?? []).filter(({ answer }) => answer.kind === 'ok' || answer.kind === 'open');
    if (use.answer.kind === 'refused' && !asked.some(({ call }) => call < use.end))
      yield { rule: 'H7', text: `token ${tokenId} was minted, yet it is refused: ${use.answer.code}`, entries: [use] };
    const revoked = asked.find(({ answer, end }) => answer.kind === 'ok' && use.call > end + LIMITS.revocationDelayMs);
    if (use.answer.kind === 'ok' && revoked !== undefined)
      yield { rule: 'H7', text: `token ${tokenId} was revoked, yet it still works`, entries: [revoked, use] };
  }
}

/** H16: agents of a pool that were certainly there at one moment are not more than its maximum. */
function* withinMaximum(facts: Facts): Iterable<Violation> {
  const leftAt = new Map<string, number>();
  for (const entry of facts.entries.filter(isOf('deregister'))) {
    if (entry.answer.kind === 'refused' || entry.answer.kind === 'unsent') continue;
    leftAt.set(entry.input.agentId, Math.min(leftAt.get(entry.input.agentId) ?? Infinity, entry.call));
  }
  const tight = [...facts.agents.values()].filter((agent) => agent.pool === TIGHT_POOL);
  for (const [region, agents] of Map.groupBy(tight, ({ id }) => parseId(id)?.region)) {
    const there = agents.map(({ id, registered }) => ({ id, from: registered.end, until: leftAt.get(id) ?? Infinity }));
    for (const { from } of there) {
      const together = there.filter((other) => other.from <= from && other.until > from);
      if (together.length <= TIGHT_POOL_MAX) continue;
      yield {
        rule: 'H16',
        text: `pool ${TIGHT_POOL} in ${region} may have ${TIGHT_POOL_MAX} agents and had ${together.map(({ id }) => id).join(', ')}`,
        entries: facts.entries.filter((e) => isDone('register')(e) && together.some(({ id }) => id === e.answer.value.agentId)),
      };
    }
  }
}

/** H15 and H23, at rest: counters equal a recount, every lease that is over has given its slots back. */
function* atRest(facts: Facts): Iterable<Violation> {
  for (const entry of facts.entries.filter(isDone('recount'))) {
    const { agents, listedAgents, tasks, listedTasks } = entry.answer.value;
    const differs = (a: object, b: object): boolean =>
      [...new Set([...Object.keys(a), ...Object.keys(b)])].some((k) => (Reflect.get(a, k) ?? 0) !== (Reflect.get(b, k) ?? 0));
    if (differs(agents, listedAgents) || differs(tasks, listedTasks))
      yield {
        rule: 'H15',
        text: `pool ${entry.input.pool}: counters differ from a recount: ${JSON.stringify(entry.answer.value)}`,
        entries: [],
      };
  }
  for (const entry of facts.entries.filter(isDone('quiet'))) {
    const { busy } = entry.answer.value;
    if (busy > 0)
      yield {
        rule: 'H23',
        text: `pool ${entry.input.pool} still counts ${busy} busy agents, whose leases have ended while nobody spoke to it`,
        entries: [entry],
      };
  }
  for (const entry of facts.entries.filter(isDone('listed'))) {
    for (const agent of entry.answer.value.agents) {
      if (agent.slotsFree !== agent.slots)
        yield {
          rule: 'H23',
          text: `agent ${agent.id} (${agent.status}) has ${agent.slotsFree} of ${agent.slots} slots free although every lease is over`,
          entries: facts.entries
            .filter((e) => isDone('allocate')(e) && e.answer.value.leases.some((l) => l.agentId === agent.id))
            .slice(-3),
        };
    }
  }
}

/** H23: after the faults every task comes to its end. */
function* everyTaskEnds(facts: Facts): Iterable<Violation> {
  const waiting = facts.entries.filter(isDone('getTask')).filter(({ client }) => client === AUDITOR);
  for (const entry of waiting) {
    const { status } = entry.answer.value;
    if (status === 'queued' || status === 'assigned' || status === 'running')
      yield {
        rule: 'H23',
        text: `${entry.input.taskId} is still ${status}, with idle agents that fit it`,
        entries: facts.onTask(entry.input.taskId).slice(-3),
      };
  }
}

/** Never a 500, whatever happens. */
function* noFault(facts: Facts): Iterable<Violation> {
  for (const entry of facts.entries) {
    if (entry.answer.kind === 'open' && entry.answer.why.startsWith('500'))
      yield { rule: 'never a 500', text: `${entry.op}: ${entry.answer.why}`, entries: [entry] };
  }
}

const CHECKS: readonly Check[] = [
  oneHolder,
  risingTokens,
  uniqueIds,
  onlyOwnToken,
  nothingAfterTheEnd,
  releaseOnce,
  nothingLost,
  completedOnce,
  oneAnswerPerKey,
  noMissingAgent,
  tokensLast,
  withinMaximum,
  atRest,
  everyTaskEnds,
  noFault,
];

export const checkHistory = (facts: Facts): readonly Violation[] => CHECKS.flatMap((one) => [...one(facts)]);
