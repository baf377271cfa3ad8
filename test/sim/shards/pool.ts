import type { LoanCommand } from '../../../durable-objects/pool/core/loans.ts';
import type { PoolEngine } from '../../../durable-objects/pool/engine.ts';
import type { Outcome } from '../../../durable-objects/pool/outcomes.ts';
import { parseIdOf } from '../../../shared/ids.ts';
import type { LoanOffer } from '../../../shared/loan-rpc.ts';
import type { AllocationView, Caller, PoolReply, ShardConfig } from '../../../shared/rpc.ts';
import { OPERATOR, START_MS } from '../../lib/pool-harness.ts';
import { Seeded } from '../../lib/seeded.ts';
import { must } from '../lib/must.ts';
import { Machine } from './machine.ts';

/** What an agent's process believes. */
export interface PoolAgent {
  readonly id: string;
  readonly shard: number;
  responsive: boolean;
  readonly work: { readonly taskId: string; readonly fencingToken: number; readonly sinceMs: number }[];
}

/** A message between shards on its way, or the answer to one. */
interface Letter {
  readonly what: string;
  readonly deliver: () => void;
  /** The sender may learn that it was lost. */
  readonly lost: () => void;
  /** Said twice it must be as good as once; answers are for one listener, and a grant is not repeatable. */
  readonly repeatable: boolean;
}

export interface PoolFaults {
  crashInside: number;
  crashAfter: number;
  lostLetter: number;
  doubledLetter: number;
  lostFrame: number;
}

/** A bug planted from outside, to see that the simulation would find it. */
export interface PoolMutant {
  readonly engine?: (engine: PoolEngine) => PoolEngine;
  /** Outcomes of this kind are forgotten. */
  readonly forgets?: Outcome['type'];
  /** What is said of a lent task is not held against the lender's lease. */
  readonly unchecked?: boolean;
}

/**
 * Some shards of one pool, and between them letters that may be lost, doubled, late or out of order. What a shard's shell
 * does with an outcome is done here in the same order, with each `await` a letter.
 */
export class ShardedPool {
  readonly random: Seeded;
  readonly clock = { nowMs: START_MS, latestMs: START_MS };
  readonly faults: PoolFaults;
  readonly machines: readonly Machine[];
  readonly agents = new Map<string, PoolAgent>();
  readonly letters: Letter[] = [];
  /** Callers that wait, with the machine's life they wait in. */
  readonly waiting = new Map<string, { readonly machine: Machine; readonly life: number }>();
  readonly trace: ((line: string) => void) | null;
  readonly mutant: PoolMutant | null;
  /** How much agents gather at one shard and tasks at another. */
  readonly leaning: number;
  crashes = 0;
  lent = 0;
  /** Every pair of task and lease that a home has written. */
  readonly #written = new Set<string>();
  readonly #tokens = new Map<string, number>();
  #turn = 0;

  constructor(seed: number, mutant: PoolMutant | null, trace: ((line: string) => void) | null) {
    this.random = new Seeded(seed);
    this.trace = trace;
    this.mutant = mutant;
    const pick = (...rates: number[]): number => this.random.pick(rates);
    this.faults = {
      crashInside: pick(0, 0.01, 0.04),
      crashAfter: pick(0, 0.01, 0.04),
      lostLetter: pick(0, 0.05, 0.3),
      doubledLetter: pick(0, 0.05, 0.2),
      lostFrame: pick(0, 0.1, 0.3),
    };
    this.leaning = pick(0, 0.5, 0.8, 0.8);
    const shards = this.random.pick([2, 2, 3]);
    const config: ShardConfig = { version: 1, maxAgents: 4, priority: 5, shards };
    const around = {
      random: this.random,
      clock: this.clock,
      faults: this.faults,
      config,
      ...(mutant?.engine === undefined ? {} : { engineOf: mutant.engine }),
      deliver: (machine: Machine, outcome: Outcome) => this.#deliver(machine, outcome),
      committed: (machine: Machine) => this.#committed(machine),
    };
    this.machines = Array.from({ length: shards }, (_, shard) => new Machine(shard, around));
  }

  machine(shard: number): Machine {
    const machine = this.machines[shard];
    if (machine === undefined) throw new Error(`no shard ${shard}`);
    return machine;
  }

  log(line: () => string): void {
    this.trace?.(`${this.clock.nowMs - START_MS} ${line()}`);
  }

  // ---- letters

  /** A call from one shard to another; its answer reaches the life of the machine that asked, if that goes on. */
  send<T>(
    what: string,
    parties: { readonly from: Machine; readonly to: Machine; readonly repeatable?: boolean },
    work: (to: Machine, answer: (value: T) => void) => void,
    heard: (value: T | null) => void = () => undefined,
  ): void {
    const { from, to, repeatable = true } = parties;
    const { life } = from;
    let isAnswered = false;
    const back = (value: T | null): void => {
      this.letters.push({
        what: `answer to ${what}`,
        repeatable: false,
        lost: () => void (isAnswered || from.life !== life || heard(null)),
        deliver: () => {
          if (from.life !== life || isAnswered) return;
          isAnswered = true;
          heard(value);
        },
      });
    };
    const deliver = (): void => {
      const before = to.life;
      work(to, back);
      // Whoever asked a machine that died is told that the line broke.
      if (to.life !== before) back(null);
    };
    this.letters.push({ what: `${what} ${from.shard}→${to.shard}`, deliver, repeatable, lost: () => back(null) });
  }

  deliverLetter(index: number): void {
    const [letter] = this.letters.splice(index, 1);
    if (letter === undefined) return;
    if (this.random.chance(this.faults.lostLetter)) {
      this.log(() => `lost: ${letter.what}`);
      if (this.random.chance(0.5)) letter.lost();
      return;
    }
    if (letter.repeatable && this.random.chance(this.faults.doubledLetter)) this.letters.push(letter);
    this.log(() => letter.what);
    letter.deliver();
  }

  // ---- what a shell does

  #deliver(machine: Machine, outcome: Outcome): void {
    this.log(() => `  ${machine.shard}: ${JSON.stringify(outcome)}`);
    if (outcome.type === this.mutant?.forgets) return;
    switch (outcome.type) {
      case 'assign':
        if (machine.sockets.has(outcome.agentId) && !this.random.chance(this.faults.lostFrame))
          this.hand(machine, outcome.agentId, outcome.leaseId);
        return;
      case 'pollDone':
        machine.polling.delete(outcome.agentId);
        for (const id of outcome.leaseIds) this.hand(machine, outcome.agentId, id);
        return;
      case 'waiterDone':
        this.waiting.delete(outcome.waiterId);
        return;
      case 'closeSession':
        machine.sockets.delete(outcome.agentId);
        machine.pongs.delete(outcome.agentId);
        return;
      case 'borrow':
        this.borrow(machine);
        return;
      case 'confirmLoans':
        this.#confirm(machine, this.machine(outcome.shard), outcome.taskIds, outcome.unused);
        return;
      case 'loanNews':
        this.#tell(machine, outcome.all);
        return;
      case 'loanOrder': {
        const { type: _, shard, ...order } = outcome;
        this.send('order', { from: machine, to: this.machine(shard) }, (to) => {
          to.call((engine) => ({ value: undefined, outcomes: engine.obeyOrders([order]) }));
        });
        return;
      }
      case 'hasRoom':
        this.send('room', { from: machine, to: this.machine(outcome.shard) }, (to) => this.borrow(to));
        return;
      case 'cancel':
      case 'drain':
      case 'watch':
      case 'taskEnded':
      case 'revoke':
      case 'acknowledged':
      case 'leaseRevoked':
        return;
    }
  }

  /** An agent's process learns of work, which somebody must have written. */
  hand(machine: Machine, agentId: string, leaseId: string): void {
    const lease = machine.engine.state.leases.get(leaseId);
    if (lease?.taskId == null) return;
    must(
      lease.loan === undefined || this.#written.has(`${lease.taskId} ${lease.id}`),
      `${agentId} is told of ${lease.taskId}, and its home has not written that it has it`,
    );
    const work = this.agents.get(agentId)?.work;
    if (work === undefined || work.some((w) => w.fencingToken === lease.fencingToken)) return;
    work.push({ taskId: lease.taskId, fencingToken: lease.fencingToken, sinceMs: this.clock.nowMs });
    if (work.length > 6) work.shift();
  }

  borrow(home: Machine): void {
    if (home.engine.state.queue.size === 0) return;
    const siblings = this.machines.filter((m) => m !== home && m.engine.state.slotsFree > 0);
    for (const lender of siblings) {
      const ask = home.engine.loanAsk((this.#turn += 1));
      if (ask.wants.length > 0)
        this.send<readonly LoanOffer[]>(
          'lend',
          { from: home, to: lender },
          (to, answer) => {
            const done = to.call((engine) => engine.lend(ask));
            if (done !== null) answer(done.value);
          },
          (offers) => {
            if (offers === null || offers.length === 0) return;
            home.call((engine) => engine.takeLoans(lender.shard, offers));
          },
        );
      this.#place(home, lender);
    }
  }

  #place(home: Machine, lender: Machine): void {
    for (const waiter of home.engine.waitersToPlace(4)) {
      const spec = { ...waiter.spec, waitMs: 0 };
      const command = { type: 'allocate' as const, spec, waiterId: waiter.id };
      this.send<PoolReply>(
        'allocate',
        { from: home, to: lender, repeatable: false },
        (to, answer) => {
          const done = to.call((engine) => {
            const { answers, outcomes } = engine.execute(OPERATOR, [{ command }]);
            return { value: answers[0] as PoolReply, outcomes };
          });
          if (done !== null) answer(done.value);
        },
        (reply) => {
          if (reply?.ok !== true) return;
          const views = reply.value as readonly AllocationView[];
          const done = home.call((engine) => engine.serveWaiter(waiter.id, views));
          if (done?.value !== false) return;
          this.send('give back', { from: home, to: lender }, (to) => {
            const release = views.map(({ id, fencingToken }) => ({
              command: { type: 'release' as const, allocationId: id, fencingToken },
            }));
            to.call((engine) => ({ value: undefined, outcomes: engine.execute(OPERATOR, release).outcomes }));
          });
        },
      );
    }
  }

  #confirm(home: Machine, lender: Machine, taskIds: readonly string[], unused: readonly string[]): void {
    const terms = home.engine.loanTerms(taskIds);
    if (terms.length === 0 && unused.length === 0) return;
    this.send<readonly ('held' | 'gone')[]>(
      'confirm',
      { from: home, to: lender },
      (to, answer) => {
        const done = to.call((engine) => engine.confirmLoans({ terms, unused }));
        if (done !== null) answer(done.value);
      },
      (outcomes) => {
        if (outcomes === null) return;
        const answers = terms.map(({ taskId, allocationId }, i) => ({
          taskId,
          allocationId,
          outcome: outcomes[i] as 'held' | 'gone',
        }));
        home.call((engine) => ({ value: undefined, outcomes: engine.loansConfirmed(answers) }));
      },
    );
  }

  #tell(lender: Machine, all: boolean): void {
    for (const [shard, news] of lender.engine.loanNews(all)) {
      type Standings = ReturnType<PoolEngine['hearLoans']>['value'];
      this.send<Standings>(
        'news',
        { from: lender, to: this.machine(shard) },
        (to, answer) => {
          const done = to.call((engine) => engine.hearLoans(lender.shard, news));
          if (done !== null) answer(done.value);
        },
        (standings) => {
          if (standings === null) return;
          const answers = news.map(({ allocationId }, i) => ({ allocationId, is: standings[i] as Standings[number] }));
          lender.call((engine) => ({ value: undefined, outcomes: engine.loansAnswered(answers) }));
        },
      );
    }
  }

  /** What an agent (or somebody for it) says of a task, at the shard of its socket or at the task's home. */
  say(at: Machine, caller: Caller, command: LoanCommand, told: (reply: PoolReply | null) => void): void {
    const home = parseIdOf('task', command.taskId);
    if (home !== null && home.shard !== at.shard) return this.#speak(at, this.machine(home.shard), { caller, command, told });
    const done = at.call((engine) => {
      const { answers, outcomes, elsewhere } = engine.execute(caller, [{ command }]);
      return { value: { reply: answers[0] as PoolReply, lender: elsewhere.get(0) ?? null }, outcomes };
    });
    if (done === null) return told(null);
    const { reply, lender } = done.value;
    if (lender === null) {
      this.#judge(command, reply);
      return told(reply);
    }
    this.send<PoolReply | null>(
      'speak',
      { from: at, to: this.machine(lender) },
      (to, answer) => this.#speak(to, at, { caller, command, told: answer }),
      told,
    );
  }

  #speak(
    lender: Machine,
    home: Machine,
    said: {
      readonly caller: Caller;
      readonly command: LoanCommand;
      readonly told: (reply: PoolReply | null) => void;
    },
  ): void {
    const { caller, command, told } = said;
    const looked = lender.call((engine) => engine.speaksUnder(caller, command));
    if (looked === null) return told(null);
    const real = looked.value;
    const loanId = this.mutant?.unchecked === true ? (home.engine.state.tasks.get(command.taskId)?.allocationId ?? null) : real;
    this.send<PoolReply>(
      command.type,
      { from: lender, to: home },
      (to, answer) => {
        const wasLent = to.engine.state.tasks.get(command.taskId)?.loan !== undefined;
        const done = to.call((engine) => {
          const { answers, outcomes } = engine.execute(caller, [{ command }], loanId ?? '');
          return { value: answers[0] as PoolReply, outcomes };
        });
        if (done === null) return;
        must(
          !done.value.ok || real !== null || !wasLent,
          `${command.type} of ${command.taskId} was accepted under a lease that its lender does not hold (I3)`,
        );
        this.#judge(command, done.value);
        answer(done.value);
      },
      (reply) => {
        if (real !== null) lender.call((engine) => ({ value: undefined, outcomes: engine.spoken(caller, real, command, reply) }));
        told(reply);
      },
    );
  }

  /** I3 and I7 over shards: what was accepted was said with the present token of a task, by the holder of a lease. */
  #judge(command: LoanCommand, reply: PoolReply): void {
    if (!reply.ok) return;
    const home = parseIdOf('task', command.taskId);
    const machine = this.machine(home?.shard ?? 0);
    const task = machine.history.tasks.get(command.taskId);
    must(task !== undefined, `${command.taskId} was spoken of and is unknown`);
    if (command.type !== 'completeTask') return;
    must(task.status === 'succeeded', `completed ${command.taskId}, which is ${task.status} (I7)`);
    must(task.fencingToken === command.fencingToken, `${command.taskId} was completed with another token (I3)`);
    const place = parseIdOf('allocation', task.allocationId ?? '');
    must(place !== null, `${command.taskId} was completed and nobody held it`);
    const lease = this.machine(place.shard).history.leases.get(task.allocationId ?? '');
    must(lease?.fencingToken === command.fencingToken, `${command.taskId} was completed under a lease of another token (I3)`);
  }

  /** The tokens of a task rise with its attempts, whichever shard they are of. */
  #committed(machine: Machine): void {
    for (const task of machine.history.live.values()) {
      if (task.allocationId === null || task.fencingToken === null) continue;
      const name = `${task.id} ${task.allocationId}`;
      if (this.#written.has(name)) continue;
      this.#written.add(name);
      if (task.loan !== undefined) this.lent += 1;
      const before = this.#tokens.get(task.id) ?? 0;
      must(task.fencingToken > before, `${task.id}: token ${task.fencingToken} after ${before} (I2)`);
      this.#tokens.set(task.id, task.fencingToken);
    }
  }

  /** Time passes; whoever is well answers the platform's pings on the way. */
  advance(ms: number): void {
    this.clock.nowMs += ms;
    this.clock.latestMs = Math.max(this.clock.latestMs, this.clock.nowMs);
    for (const machine of this.machines)
      for (const id of machine.sockets) if (this.agents.get(id)?.responsive !== false) machine.pongs.set(id, this.clock.nowMs);
  }
}
