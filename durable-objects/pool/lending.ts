import { notFound } from '../../shared/errors.ts';
import { parseIdOf } from '../../shared/ids.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { LoanNews, LoanRpc } from '../../shared/loan-rpc.ts';
import { err } from '../../shared/result.ts';
import type { AllocationView, Caller, PoolCommand, PoolReply, PoolRequest, PoolRpc, ShardConfig } from '../../shared/rpc.ts';
import type { RegionEnv } from '../env.ts';
import { callerAt } from '../lib/lease-quota.ts';
import { logError } from '../lib/log.ts';
import { poolStub, registryStub } from '../stubs.ts';
import type { LoanEffect } from './core/events.ts';
import type { LoanCommand } from './core/loans.ts';
import type { Waiter } from './core/state.ts';
import type { PoolEngine } from './engine.ts';
import type { Outcome } from './outcomes.ts';

/** Siblings asked in one round, those with most free slots. */
const SIBLINGS_MAX = 8;
/** Callers for whom one sibling is tried in one round. */
const WAITERS_MAX = 8;
/** After a round that brought nothing, what arrives asks again no sooner; the core's timer asks anyway. */
const REST_MS = 100;
/** News of one call; a lender has at most as many loans as slots. */
const NEWS_MAX = 500;

interface Sibling {
  readonly shard: number;
  readonly config: ShardConfig;
}

type Change = <T>(body: (engine: PoolEngine) => { readonly value: T; readonly outcomes: readonly Outcome[] }) => Promise<T>;

/**
 * Calls between the shards of a pool, both sides. It decides nothing: what is said and what an answer means is the core's.
 * Every call may be lost; whatever must be said is said again by a timer of the core.
 */
export class Lending {
  readonly #env: RegionEnv;
  readonly #engine: () => PoolEngine | null;
  readonly #change: Change;
  #asking = false;
  /** Asked for again while a round runs. */
  #again = false;
  #restUntilMs = 0;
  #turn = 0;
  /** Siblings that said of themselves that they have room. */
  readonly #hints = new Set<number>();
  /** Homes that are being told of room, and whether there was more since: a crowd of ends is few words. */
  readonly #telling = new Map<number, boolean>();

  constructor(env: RegionEnv, engine: () => PoolEngine | null, change: Change) {
    this.#env = env;
    this.#engine = engine;
    this.#change = change;
  }

  deliver(effect: LoanEffect): void {
    switch (effect.type) {
      case 'borrow':
        this.#borrow();
        return;
      case 'confirmLoans':
        this.#quietly('loans not confirmed', this.#confirm(effect.shard, effect.taskIds, effect.unused));
        return;
      case 'loanNews':
        for (const [home, news] of this.#engine()?.loanNews(effect.all) ?? [])
          this.#quietly('home of loans not told', this.#tell(home, news));
        return;
      case 'loanOrder': {
        const { shard, type: _, ...order } = effect;
        this.#quietly(
          'lender not told',
          this.#call(shard, (stub, at) => stub.loanOrders(at.fleet, at.home, [order])),
        );
        return;
      }
      case 'hasRoom':
        this.#sayRoom(effect.shard);
        return;
    }
  }

  /** Whether a command is about a task of a sibling. */
  isForeign(command: PoolCommand): command is LoanCommand {
    if (command.type !== 'completeTask' && command.type !== 'failTask' && command.type !== 'progressTask') return false;
    const here = this.#engine()?.state.home;
    const home = parseIdOf('task', command.taskId);
    return here !== undefined && home !== null && home.pool === here.pool && home.shard !== here.shard;
  }

  /** As lender: our lease is looked at first, then the home decides and writes, then our lease follows. */
  async speak(caller: Caller, request: PoolRequest): Promise<PoolReply> {
    const { command } = request;
    const home = this.isForeign(command) ? parseIdOf('task', command.taskId) : null;
    const shards = this.#engine()?.state.config.shards ?? 1;
    if (home === null || !this.isForeign(command)) return err(notFound('task'));
    const loanId = await this.#change((engine) => engine.speaksUnder(caller, command));
    // An object is made by being asked; a shard that does not exist must not be.
    if (loanId === null && home.shard >= shards) return err(notFound('task'));
    let reply: PoolReply | null = null;
    try {
      reply = await this.#call(home.shard, (stub, at) => stub.underLoan(at.fleet, at.home, caller, request, loanId));
      return reply;
    } catch (error) {
      logError('home of a task not reached', error, { shard: home.shard });
      return err(UNREACHED);
    } finally {
      if (loanId !== null) {
        const said = reply;
        await this.#change((engine) => ({ value: undefined, outcomes: engine.spoken(caller, loanId, command, said) }));
      }
    }
  }

  /** As home: the lender must look at its lease first. */
  async forward(lender: number, caller: Caller, request: PoolRequest): Promise<PoolReply> {
    try {
      return await this.#call(lender, (stub, at) => stub.speakOfLoan(at.fleet, at.home, caller, request));
    } catch (error) {
      logError('lender of a task not reached', error, { shard: lender });
      return err(UNREACHED);
    }
  }

  /** A sibling has room: no need to ask the registry who has. */
  roomAt(lender: number): void {
    this.#hints.add(lender);
    this.#restUntilMs = 0;
    this.#borrow();
  }

  #borrow(): void {
    if (this.#asking) {
      this.#again = true;
      return;
    }
    if (Date.now() < this.#restUntilMs) return;
    this.#asking = true;
    void this.#rounds().finally(() => {
      this.#asking = false;
    });
  }

  async #rounds(): Promise<void> {
    try {
      do {
        this.#again = false;
        if ((await this.#round()) > 0) this.#again = true;
      } while (this.#again);
    } catch (error) {
      logError('siblings not asked', error, {});
    }
    this.#restUntilMs = Date.now() + REST_MS;
  }

  /** Asks siblings that have room, one after the other, as long as something waits. Answers how much found an agent. */
  async #round(): Promise<number> {
    let served = 0;
    for (const sibling of await this.#siblings()) {
      const engine = this.#engine();
      if (engine === null || engine.state.queue.size === 0) return served;
      try {
        served += await this.#ask(engine, sibling);
      } catch (error) {
        // The next one may answer, and the core asks again soon.
        logError('sibling not asked', error, { shard: sibling.shard });
      }
    }
    return served;
  }

  async #ask(engine: PoolEngine, sibling: Sibling): Promise<number> {
    const { shard } = sibling;
    const ask = engine.loanAsk((this.#turn += 1));
    let served = 0;
    if (ask.wants.length > 0) {
      const offers = await this.#call(shard, (stub, at) => stub.lend(at.fleet, at.home, ask));
      if (offers.length > 0) served += await this.#change((e) => e.takeLoans(shard, offers));
    }
    return served + (await this.#place(sibling));
  }

  /** The registry knows who has free slots from their reports, so siblings that are full or asleep are not asked. */
  async #siblings(): Promise<readonly Sibling[]> {
    const hints = [...this.#hints];
    this.#hints.clear();
    const state = this.#engine()?.state;
    if (state === undefined || state.queue.size === 0) return [];
    const { home, config, fleet } = state;
    if (hints.length > 0) return hints.map((shard) => ({ shard, config }));
    const routes = await registryStub(this.#env, fleet, home.region).routes(fleet, home.region);
    const route = routes.find(({ pool }) => pool === home.pool);
    if (route === undefined) return [];
    return route.slotsFree
      .map((free, shard) => ({ free, shard }))
      .filter(({ free, shard }) => free > 0 && shard !== home.shard)
      .sort((a, b) => b.free - a.free)
      .slice(0, SIBLINGS_MAX)
      .map(({ shard }) => ({
        shard,
        config: {
          version: route.version,
          maxAgents: route.shares[shard] ?? 0,
          priority: route.priority,
          shards: route.shards,
        },
      }));
  }

  /** Callers that wait here are tried there, as if they had come there first; what nobody waits for any more goes back. */
  async #place({ shard, config }: Sibling): Promise<number> {
    const waiters = this.#engine()?.waitersToPlace(WAITERS_MAX) ?? [];
    const place = async (waiter: Waiter): Promise<number> => {
      const caller = callerAt(this.#callerOf(waiter), shard, config.shards ?? 1);
      const spec = { ...waiter.spec, waitMs: 0 };
      const [reply] = await this.#call(shard, (stub, at) =>
        stub.execute(at.fleet, at.home, config, caller, [{ command: { type: 'allocate', spec, waiterId: waiter.id } }]),
      );
      if (reply?.ok !== true) return 0;
      const views = reply.value as readonly AllocationView[];
      if (await this.#change((engine) => engine.serveWaiter(waiter.id, views))) return 1;
      const release = views.map(({ id, fencingToken }) => ({
        command: { type: 'release' as const, allocationId: id, fencingToken },
      }));
      await this.#call(shard, (stub, at) => stub.execute(at.fleet, at.home, config, caller, release));
      return 0;
    };
    const placed = await Promise.all(waiters.map(place));
    return placed.reduce((sum, n) => sum + n, 0);
  }

  #callerOf({ callerSubject, requestId, quota }: Waiter): Caller {
    const fleet = this.#engine()?.state.fleet ?? '';
    const caller: Caller = { fleet, subject: callerSubject, role: 'operator', requestId };
    return quota === null ? caller : { ...caller, leaseQuota: quota };
  }

  async #confirm(shard: number, taskIds: readonly string[], unused: readonly string[]): Promise<void> {
    const terms = this.#engine()?.loanTerms(taskIds) ?? [];
    if (terms.length === 0 && unused.length === 0) return;
    const outcomes = await this.#call(shard, (stub, at) => stub.confirmLoans(at.fleet, at.home, { terms, unused }));
    const answers = terms.flatMap(({ taskId, allocationId }, i) => {
      const outcome = outcomes[i];
      return outcome === undefined ? [] : [{ taskId, allocationId, outcome }];
    });
    await this.#change((engine) => ({ value: undefined, outcomes: engine.loansConfirmed(answers) }));
  }

  async #tell(home: number, news: readonly LoanNews[]): Promise<void> {
    const lender = this.#engine()?.state.home.shard ?? 0;
    for (let from = 0; from < news.length; from += NEWS_MAX) {
      const part = news.slice(from, from + NEWS_MAX);
      const standings = await this.#call(home, (stub, at) => stub.loanNews(at.fleet, at.home, lender, part));
      const answers = part.flatMap(({ allocationId }, i) => {
        const is = standings[i];
        return is === undefined ? [] : [{ allocationId, is }];
      });
      await this.#change((engine) => ({ value: undefined, outcomes: engine.loansAnswered(answers) }));
    }
  }

  #sayRoom(home: number): void {
    if (this.#telling.has(home)) {
      this.#telling.set(home, true);
      return;
    }
    this.#telling.set(home, false);
    const lender = this.#engine()?.state.home.shard ?? 0;
    const told = this.#call(home, (stub) => stub.hasRoom(lender)).finally(() => {
      const more = this.#telling.get(home) === true;
      this.#telling.delete(home);
      if (more) this.#sayRoom(home);
    });
    this.#quietly('home not told of room', told);
  }

  async #call<T>(
    shard: number,
    call: (stub: PoolRpc & LoanRpc, at: { readonly fleet: string; readonly home: PoolEngine['state']['home'] }) => Promise<T>,
  ): Promise<T> {
    const state = this.#engine()?.state;
    if (state === undefined) throw new Error('this shard holds nothing yet');
    const home = { ...state.home, shard };
    return call(poolStub(this.#env, state.fleet, home), { fleet: state.fleet, home });
  }

  #quietly(message: string, work: Promise<unknown>): void {
    work.catch((error: unknown) => logError(message, error, {}));
  }
}

/** Nothing is known of what was done; said again it is the same. */
const UNREACHED = {
  kind: 'region_unavailable',
  retryAfterMs: LIMITS.loanRetryMs,
  detail: 'Another shard of the pool did not answer; say it again.',
} as const;
