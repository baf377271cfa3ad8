import { describe, expect, it } from 'vitest';
import type { LoanOffer } from '../../../shared/loan-rpc.ts';
import type { PoolReply, TaskSpec } from '../../../shared/rpc.ts';
import type { LoanCommand } from '../../../durable-objects/pool/core/loans.ts';
import { poolViolations } from '../../lib/pool-invariants.ts';
import { allocateSpec, asAgent, OPERATOR, PoolHarness } from '../../lib/pool-harness.ts';

/** Two shards of a pool, and the calls between them, each made by the test. */
class Pair {
  readonly home = new PoolHarness({ shard: 0, shards: 2 });
  readonly lender = new PoolHarness({ shard: 1, shards: 2, seed: 2 });

  /** Home asks, lender offers. */
  ask(): readonly LoanOffer[] {
    const { value, outcomes } = this.lender.engine.lend(this.home.engine.loanAsk(1));
    this.lender.outcomes.push(...outcomes);
    return value;
  }

  take(offers: readonly LoanOffer[]): number {
    const { value, outcomes } = this.home.engine.takeLoans(1, offers);
    this.home.outcomes.push(...outcomes);
    return value;
  }

  /** Carries the last confirmation over, and its answer back. */
  confirm(): readonly string[] {
    const said = this.home.seen('confirmLoans').at(-1);
    const terms = this.home.engine.loanTerms(said?.taskIds ?? []);
    const { value, outcomes } = this.lender.engine.confirmLoans({ terms, unused: said?.unused ?? [] });
    this.lender.outcomes.push(...outcomes);
    const answers = terms.map(({ taskId, allocationId }, i) => ({ taskId, allocationId, outcome: value[i] ?? 'gone' }));
    this.home.outcomes.push(...this.home.engine.loansConfirmed(answers));
    return value;
  }

  /** The task is with an agent of the lender. */
  lend(spec: Partial<TaskSpec> = {}): {
    readonly taskId: string;
    readonly fencingToken: number;
    readonly agentId: string;
  } {
    const agentId = this.lender.connected();
    const taskId = this.home.submit(spec);
    this.take(this.ask());
    expect(this.confirm()).toEqual(['held']);
    const { fencingToken } = this.home.work(taskId);
    return { taskId, fencingToken, agentId };
  }

  /** Lender's news, the home's answer. */
  news(): void {
    for (const [, news] of this.lender.engine.loanNews(true)) {
      const { value, outcomes } = this.home.engine.hearLoans(1, news);
      this.home.outcomes.push(...outcomes);
      const answers = news.map(({ allocationId }, i) => ({ allocationId, is: value[i] as (typeof value)[number] }));
      this.lender.outcomes.push(...this.lender.engine.loansAnswered(answers));
    }
  }

  /** An agent speaks at the lender. */
  say(agentId: string, command: LoanCommand): PoolReply {
    const caller = asAgent(agentId);
    const { value: loanId, outcomes } = this.lender.engine.speaksUnder(caller, command);
    this.lender.outcomes.push(...outcomes);
    const { answers } = this.home.engine.execute(caller, [{ command }], loanId ?? '');
    const reply = answers[0] as PoolReply;
    if (loanId !== null) this.lender.outcomes.push(...this.lender.engine.spoken(caller, loanId, command, reply));
    return reply;
  }

  advance(ms: number): void {
    this.lender.pong();
    this.home.advance(ms);
    this.lender.advance(ms);
    this.lender.pong();
  }

  check(): void {
    for (const shard of [this.home, this.lender]) {
      const ended: Record<string, number> = {};
      for (const task of shard.storage.tasks(null, null, 100))
        if (task.completedAtMs !== null) ended[task.status] = (ended[task.status] ?? 0) + 1;
      const look = { nowMs: shard.nowMs, latestMs: shard.nowMs, stepped: true, ended };
      expect(poolViolations(shard.state, { ...look, lastPongAtMs: (id) => shard.pongs.get(id) ?? null })).toEqual([]);
    }
  }
}

describe('agents on loan', () => {
  it('P160: an agent that its own shard wants is not offered', () => {
    const pair = new Pair();
    pair.lender.connected();
    pair.lender.submit();
    pair.home.submit();
    expect(pair.ask()).toEqual([]);
  });

  it('P160: the token of an offer is above the last of both shards', () => {
    const pair = new Pair();
    pair.home.register();
    for (let i = 0; i < 5; i += 1) {
      const { id, fencingToken } = pair.home.allocate();
      pair.home.do({ type: 'release', allocationId: id, fencingToken });
    }
    pair.lender.connected();
    pair.home.submit();
    const [offer] = pair.ask();
    expect(offer?.fencingToken).toBe(6);
    pair.take([offer as LoanOffer]);
    expect(pair.home.state.lastFence).toBe(6);
    pair.check();
  });

  it('P161: an offer that nobody confirms ends after three seconds, and nobody was told', () => {
    const pair = new Pair();
    const agentId = pair.lender.connected();
    pair.home.submit();
    expect(pair.ask()).toHaveLength(1);
    expect(pair.ask()).toEqual([]);
    pair.advance(3_000);
    expect(pair.lender.status(agentId)).toBe('idle');
    expect(pair.lender.assigned()).toEqual([]);
    expect(pair.ask()).toHaveLength(1);
    pair.check();
  });

  it('P162: the home gives an offered agent the best that fits it', () => {
    const pair = new Pair();
    pair.home.submit({ priority: 9, capabilities: ['gpu'] });
    pair.home.submit({ priority: 3 });
    const best = pair.home.submit({ priority: 7 });
    pair.lender.connected();
    expect(pair.take(pair.ask())).toBe(1);
    expect(pair.home.task(best).status).toBe('assigned');
    pair.check();
  });

  it('P162: an offer of before the task’s last attempt is not used', () => {
    const pair = new Pair();
    pair.lender.connected();
    const taskId = pair.home.submit({ retry: { baseMs: 0, factor: 1, maxMs: 0, jitter: 0 } });
    const offers = pair.ask();
    const agent = pair.home.connected();
    pair.home.fail(pair.home.work(taskId));
    pair.home.close(agent);
    pair.home.fail({ ...pair.home.work(taskId), agentId: pair.home.work(taskId).agentId });
    const { fencingToken } = pair.home.task(taskId);
    expect(offers[0]?.fencingToken).toBeLessThanOrEqual(fencingToken ?? 0);
    expect(pair.take(offers)).toBe(0);
    expect(pair.home.seen('confirmLoans').at(-1)?.unused).toEqual([offers[0]?.allocationId]);
    pair.check();
  });

  it('P163: the agent is told with the confirmation, once, and knows task, attempt and payload', () => {
    const pair = new Pair();
    const agentId = pair.lender.connected();
    const taskId = pair.home.submit({ payload: '{"n":1}' });
    pair.take(pair.ask());
    expect(pair.lender.assigned()).toEqual([]);
    expect(pair.confirm()).toEqual(['held']);
    expect(pair.lender.assigned()).toEqual([taskId]);
    expect(pair.confirm()).toEqual(['held']);
    expect(pair.lender.assigned()).toEqual([taskId]);
    expect(pair.lender.storage.blob(taskId, 'payload')).toBe('{"n":1}');
    expect(pair.home.task(taskId)).toMatchObject({ status: 'assigned', agentId, attempts: 1 });
    pair.check();
  });

  it('P163: an offer that is over brings the task back with its attempt', () => {
    const pair = new Pair();
    pair.lender.connected();
    const taskId = pair.home.submit();
    pair.take(pair.ask());
    pair.lender.advance(3_000);
    expect(pair.confirm()).toEqual(['gone']);
    expect(pair.home.task(taskId)).toMatchObject({ status: 'queued', attempts: 0 });
    pair.check();
  });

  it('P163: a confirmation that got lost is said again, after a crash too', () => {
    const pair = new Pair();
    pair.lender.connected();
    const taskId = pair.home.submit();
    pair.take(pair.ask());
    pair.home.restart({ socketsSurvive: false });
    expect(pair.home.seen('confirmLoans').at(-1)?.taskIds).toEqual([taskId]);
    expect(pair.confirm()).toEqual(['held']);
    pair.check();
  });

  it('P164: a result is accepted under the lender’s lease, once, and again it is the same answer', () => {
    const pair = new Pair();
    const { taskId, fencingToken, agentId } = pair.lend();
    const command = { type: 'completeTask' as const, taskId, fencingToken, result: '7' };
    expect(pair.say(agentId, { ...command, fencingToken: fencingToken + 1 })).toMatchObject({
      error: { kind: 'lease_superseded' },
    });
    const first = pair.say(agentId, command);
    expect(first).toMatchObject({ ok: true, value: { status: 'succeeded', result: '7' } });
    expect(pair.lender.status(agentId)).toBe('idle');
    expect(pair.lender.agent(agentId).record.completed).toBe(1);
    expect(pair.say(agentId, command)).toEqual(first);
    expect(pair.lender.storage.blob(taskId, 'payload')).toBeNull();
    pair.check();
  });

  it('P164: what comes to the home first is sent to the lender, which looks at its lease', () => {
    const pair = new Pair();
    const { taskId, fencingToken, agentId } = pair.lend();
    const command = { type: 'progressTask' as const, taskId, fencingToken };
    const { elsewhere } = pair.home.engine.execute(OPERATOR, [{ command }]);
    expect([...elsewhere]).toEqual([[0, 1]]);
    pair.lender.do({ type: 'quarantineAgent', agentId });
    expect(pair.say(agentId, command)).toMatchObject({ error: { kind: 'lease_superseded' } });
    expect(pair.home.task(taskId).status).toBe('assigned');
  });

  it('P164: progress starts the task and shows that the agent took it', () => {
    const pair = new Pair();
    const { taskId, fencingToken, agentId } = pair.lend();
    pair.say(agentId, { type: 'progressTask', taskId, fencingToken, checkpoint: '1' });
    expect(pair.home.task(taskId).status).toBe('running');
    expect(pair.home.storage.blob(taskId, 'checkpoint')).toBe('1');
    expect(pair.lender.storage.blob(taskId, 'checkpoint')).toBe('1');
    for (let i = 0; i < 9; i += 1) {
      pair.advance(5_000);
      pair.news();
    }
    expect(pair.home.task(taskId).status).toBe('running');
    pair.check();
  });

  it.each([
    ['quarantineAgent', 0],
    ['deregisterAgent', 0],
  ] as const)('P165: an attempt lost to %s is given back, when the home hears of it', (type, attempts) => {
    const pair = new Pair();
    const { taskId, agentId } = pair.lend();
    pair.lender.do(type === 'quarantineAgent' ? { type, agentId } : { type, agentId, force: true });
    expect(pair.lender.seen('loanNews').at(-1)).toMatchObject({ all: false });
    expect(pair.home.task(taskId).status).toBe('assigned');
    pair.lender.restart({ socketsSurvive: false });
    expect(pair.lender.state.returns.size).toBe(1);
    pair.news();
    expect(pair.home.task(taskId)).toMatchObject({ status: 'queued', attempts });
    expect(pair.lender.state.returns.size).toBe(0);
    pair.check();
  });

  it('P165: a lost agent’s attempt counts', () => {
    const pair = new Pair();
    const { taskId, agentId } = pair.lend();
    pair.lender.close(agentId);
    pair.lender.advance(5_000);
    pair.news();
    expect(pair.home.task(taskId)).toMatchObject({ status: 'queued', attempts: 1, error: { code: 'agent_lost' } });
    pair.check();
  });

  it('P166: a deadline at home fences the holder, and the lender tells the agent', () => {
    const pair = new Pair();
    const { taskId, fencingToken, agentId } = pair.lend({ deadlineMs: 4_000 });
    pair.home.advance(4_000);
    expect(pair.home.task(taskId).status).toBe('failed');
    expect(pair.say(agentId, { type: 'completeTask', taskId, fencingToken })).toMatchObject({
      error: { kind: 'lease_superseded' },
    });
    const order = pair.home.seen('loanOrder').at(-1);
    expect(order).toMatchObject({ shard: 1, over: true, reason: 'deadline_exceeded' });
    expect(pair.lender.seen('cancel').at(-1)).toMatchObject({ agentId, taskId });
    expect(pair.lender.status(agentId)).toBe('idle');
    pair.check();
  });

  it('P166: a cancel is passed on to the agent, and a result that still comes is accepted', () => {
    const pair = new Pair();
    const { taskId, fencingToken, agentId } = pair.lend();
    pair.home.do({ type: 'cancelTask', taskId });
    const {
      shard: _,
      type: __,
      ...order
    } = pair.home.seen('loanOrder').at(-1) as { shard: number; type: 'loanOrder' } & Parameters<
      PoolHarness['engine']['obeyOrders']
    >[0][number];
    pair.lender.outcomes.push(...pair.lender.engine.obeyOrders([order, order]));
    expect(pair.lender.seen('cancel')).toMatchObject([{ agentId, taskId, graceMs: 10_000 }]);
    expect(pair.lender.beat(agentId).cancel).toEqual([taskId]);
    expect(pair.say(agentId, { type: 'completeTask', taskId, fencingToken }).ok).toBe(true);
    pair.check();
  });

  it('P167: a lender that is silent for fifteen seconds loses the task', () => {
    const pair = new Pair();
    const { taskId } = pair.lend();
    pair.home.advance(14_999);
    expect(pair.home.task(taskId).status).toBe('assigned');
    pair.home.advance(1);
    expect(pair.home.task(taskId)).toMatchObject({ status: 'queued', attempts: 1 });
    pair.check();
  });

  it('P167: a lender that gets no answer gives the loan up before the home does', () => {
    const pair = new Pair();
    const { taskId, fencingToken, agentId } = pair.lend();
    pair.say(agentId, { type: 'progressTask', taskId, fencingToken });
    for (let i = 0; i < 5; i += 1) {
      pair.lender.pong();
      pair.lender.advance(2_500);
    }
    expect(pair.lender.status(agentId)).toBe('idle');
    expect(pair.lender.state.returns.size).toBe(1);
    expect(pair.lender.seen('loanNews').filter(({ all }) => all).length).toBeGreaterThanOrEqual(2);
  });

  it('P168: a lender that missed the end of a task learns of it, and how it ended', () => {
    const pair = new Pair();
    const { taskId, fencingToken, agentId } = pair.lend();
    const command = { type: 'completeTask' as const, taskId, fencingToken };
    const loanId = pair.lender.engine.speaksUnder(asAgent(agentId), command).value;
    pair.home.engine.execute(asAgent(agentId), [{ command }], loanId ?? '');
    pair.lender.restart({ socketsSurvive: true });
    expect(pair.lender.seen('loanNews').at(-1)).toMatchObject({ all: true });
    pair.news();
    expect(pair.lender.lease(loanId ?? '').status).toBe('released');
    pair.check();
  });

  it('P169: a wait is served with what a sibling granted, under its own key, and only once', () => {
    const pair = new Pair();
    pair.lender.register();
    const ref = { key: 'k', bodyHash: 'h' };
    const waiterId = pair.home.wait({}, ref);
    expect(pair.home.engine.waitersToPlace(8).map(({ id }) => id)).toEqual([waiterId]);
    const views = pair.lender.allocateAll();
    const served = pair.home.engine.serveWaiter(waiterId, views);
    pair.home.outcomes.push(...served.outcomes);
    expect(served.value).toBe(true);
    expect(pair.home.waited(waiterId)).toEqual({ ok: true, value: views });
    expect(pair.home.engine.serveWaiter(waiterId, views).value).toBe(false);
    const again = { type: 'allocate' as const, spec: allocateSpec({ waitMs: 1_000 }), waiterId: 'other' };
    expect(pair.home.ask(again, OPERATOR, ref)).toMatchObject({ ok: true, replayed: true });
    pair.check();
  });

  it('P170: what finds nobody asks the siblings at once, and again twice a second while it waits', () => {
    const pair = new Pair();
    const asked = (): number => pair.home.seen('borrow').length;
    const taskId = pair.home.submit();
    expect(asked()).toBe(1);
    pair.home.advance(500);
    expect(asked()).toBe(2);
    pair.home.advance(500);
    expect(asked()).toBe(3);
    pair.home.do({ type: 'cancelTask', taskId });
    pair.home.advance(60_000);
    expect(asked()).toBe(3);
    pair.check();
  });

  it('P170: a pool of one shard asks nobody', () => {
    const alone = new PoolHarness();
    alone.submit();
    alone.advance(60_000);
    expect(alone.seen('borrow')).toEqual([]);
  });

  it.each(['requeue', 'cancel'] as const)('P171: a revocation ends a loan and its task’s attempt: %s', (tasks) => {
    const pair = new Pair();
    const { taskId, fencingToken, agentId } = pair.lend();
    const terms = { selector: { taskIds: [taskId] }, reason: 'stop', tasks, quarantine: false };
    const revoked = pair.lender.do({ type: 'revokeLeases', ...terms, epoch: null, limit: 100 });
    expect(revoked).toMatchObject({ revoked: 1, [tasks === 'cancel' ? 'cancelled' : 'requeued']: 1 });
    expect(pair.say(agentId, { type: 'completeTask', taskId, fencingToken })).toMatchObject({
      error: { kind: 'lease_superseded' },
    });
    pair.news();
    expect(pair.home.task(taskId)).toMatchObject(
      tasks === 'cancel' ? { status: 'cancelled' } : { status: 'queued', attempts: 0 },
    );
    pair.check();
  });
});
