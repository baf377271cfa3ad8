import { DurableObject } from 'cloudflare:workers';
import { monotonicFactory } from 'ulid';
import { notFound, type FleetError } from '../../shared/errors.ts';
import type { Home } from '../../shared/ids.ts';
import { LIMITS } from '../../shared/limits.ts';
import type {
  LoanAsk,
  LoanConfirmation,
  LoanNews,
  LoanOffer,
  LoanOrder,
  LoanOutcome,
  LoanRpc,
  LoanStanding,
} from '../../shared/loan-rpc.ts';
import { err, ok, type Result } from '../../shared/result.ts';
import type {
  AcknowledgedBy,
  AgentFilter,
  AgentView,
  AllocateSpec,
  AllocationView,
  Caller,
  DemandSpec,
  IdempotencyRef,
  Page,
  Polled,
  PoolReply,
  PoolRequest,
  PoolRpc,
  RevokeStep,
  RevokeTerms,
  ShardConfig,
  ShardRevocation,
  ShardSummary,
  TaskFilter,
  TaskView,
  WhyTask,
} from '../../shared/rpc.ts';
import type { Why } from '../../shared/schemas/why.ts';
import type { RegionEnv } from '../env.ts';
import { bufferedRandom } from '../lib/buffered-random.ts';
import { GroupCommit } from '../lib/group-commit.ts';
import { migrate } from '../lib/migrate.ts';
import { COLLECTOR } from '../lib/quiet-collector.ts';
import { Acknowledgements, acknowledgedBy, stillAwaited } from './acknowledgements.ts';
import { isEmpty, type PolledLeases } from './core/polls.ts';
import { PoolEngine, type Answer } from './engine.ts';
import type { Outcome } from './outcomes.ts';
import { MemoryNotices } from './memory-notices.ts';
import { POOL_MIGRATIONS } from './migrations.ts';
import { Lending } from './lending.ts';
import { Parking } from './parking.ts';
import * as queries from './queries.ts';
import { NOTHING_REVOKED, revokeInSteps } from './revoke-in-steps.ts';
import { Reporter } from './reporter.ts';
import { Sessions } from './sessions.ts';
import { SqlitePoolStorage } from './sqlite-storage.ts';
import { countWake } from './wakes.ts';
import { Watcher } from './watcher.ts';

/**
 * One pool shard. A thin shell: it reads clock and randomness, runs the engine inside group commits, and does after the
 * commit what the engine says. Nothing in memory is needed to be right; everything may be gone at the next call.
 */
export class PoolObject extends DurableObject<RegionEnv> implements PoolRpc, LoanRpc {
  readonly #storage: SqlitePoolStorage;
  #commit: GroupCommit;
  readonly #parking = new Parking();
  readonly #acknowledgements = new Acknowledgements();
  readonly #sessions: Sessions;
  readonly #reporter: Reporter;
  readonly #watcher: Watcher;
  readonly #lending: Lending;
  readonly #memoryNotices: MemoryNotices;
  readonly #ulid = monotonicFactory(bufferedRandom());
  #engine: PoolEngine | null = null;
  #armedAtMs: number | null = null;

  constructor(ctx: DurableObjectState, env: RegionEnv) {
    super(ctx, env);
    migrate(ctx.storage, POOL_MIGRATIONS);
    countWake(ctx.storage.sql, Date.now());
    this.#storage = new SqlitePoolStorage(ctx.storage.sql);
    this.#commit = this.#newCommit();
    this.#sessions = new Sessions(ctx, this.#storage, () => this.#engine);
    this.#reporter = new Reporter(
      env,
      () => this.#engine,
      (config) => this.#configureLater(config),
    );
    this.#watcher = new Watcher(
      env,
      () => this.#engine,
      (id, status) => this.#change((engine) => ({ value: undefined, outcomes: engine.dependencyEnded(id, status) })),
    );
    this.#lending = new Lending(
      env,
      () => this.#engine,
      (body) => this.#change(body),
    );
    this.#memoryNotices = new MemoryNotices(env, () => this.#engine?.state.fleet ?? null);
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('ping', 'pong'));
    const stored = this.#storage.load();
    if (stored !== null) {
      this.#engine = this.#newEngine(stored.meta.fleet, stored.meta.home, stored.meta.config);
      // Sockets that hibernated are still there; those that a crash took are not, and their agents get the grace.
      void this.#change((engine) => ({ value: undefined, outcomes: engine.wake(this.#sessions.openAgents()) })).catch(
        () => undefined,
      );
      // A crash may have come between a commit and its report.
      this.#reporter.changed();
    }
  }

  #newCommit(): GroupCommit {
    return new GroupCommit({
      storage: this.ctx.storage,
      beforeCommit: () => this.#storage.flush(),
      // Memory may be ahead of the rows: forget it. The next call starts a new instance from what is stored.
      onFault: (error) => this.ctx.abort(error instanceof Error ? error.message : 'commit failed'),
    });
  }

  #newEngine(fleet: string, home: Home, config: ShardConfig): PoolEngine {
    return new PoolEngine(
      this.#storage,
      {
        nowMs: () => Date.now(),
        random: () => Math.random(),
        ulid: () => this.#ulid(),
        lastPongAtMs: (id) => this.#sessions.lastPongAtMs(id),
      },
      fleet,
      home,
      config,
    );
  }

  /** The engine of the shard this call names. An object that holds another shard refuses to serve. */
  #at(fleet: string, home: Home, config: ShardConfig): PoolEngine {
    if (home.region !== this.env.REGION) throw new Error('addressed for another region than this object runs in');
    const engine = (this.#engine ??= this.#newEngine(fleet, home, config));
    const here = engine.state;
    if (here.fleet !== fleet || here.home.pool !== home.pool || here.home.shard !== home.shard)
      throw new Error('addressed as another shard than this object holds');
    return engine;
  }

  /** Runs one change in a group commit; effects follow the commit, before the caller is answered. */
  #change<T>(body: (engine: PoolEngine) => { readonly value: T; readonly outcomes: readonly Outcome[] }): Promise<T> {
    const engine = this.#engine;
    if (engine === null) return Promise.reject(new Error('this shard holds nothing yet'));
    COLLECTOR?.came();
    return this.#commit.run(() => {
      const before = engine.summaryVersion;
      const { value, outcomes } = body(engine);
      const changed = engine.summaryVersion !== before;
      this.#arm(engine, changed);
      this.#commit.afterCommit(() => {
        COLLECTOR?.served((work) => this.ctx.waitUntil(work));
        for (const outcome of outcomes) this.#deliver(outcome);
        if (changed) this.#reporter.changed();
      });
      return value;
    });
  }

  /** One alarm for everything. An earlier one than needed is harmless; a later one is not, so only those are replaced. */
  #arm(engine: PoolEngine, changed: boolean): void {
    // Counters that a crash kept from the registry are reported by the alarm, which survives it.
    const reportAtMs = changed ? Date.now() + LIMITS.summaryAlarmMs : null;
    const dueAtMs = engine.nextAlarmMs();
    const wanted = reportAtMs === null ? dueAtMs : dueAtMs === null ? reportAtMs : Math.min(reportAtMs, dueAtMs);
    if (wanted === null || (this.#armedAtMs !== null && this.#armedAtMs <= wanted)) return;
    this.#armedAtMs = wanted;
    void this.ctx.storage.setAlarm(wanted);
  }

  override async alarm(): Promise<void> {
    this.#armedAtMs = null;
    if (this.#engine === null) return;
    await this.#change((engine) => ({ value: undefined, outcomes: engine.alarm() }));
    await this.#reporter.flush();
  }

  #deliver(outcome: Outcome): void {
    switch (outcome.type) {
      case 'waiterDone':
        this.#parking.answerWaiter(outcome.waiterId, outcome.reply);
        return;
      case 'pollDone':
        this.#parking.answerPoll(outcome.agentId, outcome);
        return;
      case 'acknowledged':
        this.#acknowledgements.heard(outcome.agentId);
        return;
      case 'taskEnded':
        this.#parking.taskEnded(outcome.taskId);
        return;
      case 'watch':
        this.#watcher.watch(outcome.dependencyId);
        return;
      case 'borrow':
      case 'confirmLoans':
      case 'loanNews':
      case 'loanOrder':
      case 'hasRoom':
        this.#lending.deliver(outcome);
        return;
      case 'leaseRevoked':
        this.#memoryNotices.revoked(outcome);
        return;
      default:
        this.#sessions.deliver(outcome);
    }
  }

  #configureLater(config: ShardConfig): void {
    void this.#change((engine) => ({ value: undefined, outcomes: engine.configure(config, SYSTEM) })).catch(() => undefined);
  }

  async execute(
    fleet: string,
    home: Home,
    config: ShardConfig,
    caller: Caller,
    requests: readonly PoolRequest[],
  ): Promise<readonly PoolReply[]> {
    this.#at(fleet, home, config);
    return this.#execute(caller, requests, (engine) => engine.configure(config, caller));
  }

  async #execute(
    caller: Caller,
    requests: readonly PoolRequest[],
    before: (engine: PoolEngine) => readonly Outcome[] = () => [],
  ): Promise<readonly PoolReply[]> {
    const parked = new Map<number, Promise<PoolReply>>();
    const { answers, elsewhere } = await this.#change((engine) => {
      const configured = before(engine);
      const { answers, outcomes, elsewhere } = engine.execute(caller, requests);
      answers.forEach((answer, i) => {
        const command = requests[i]?.command;
        if (answer === 'parked' && command?.type === 'allocate') parked.set(i, this.#parking.parkWaiter(command.waiterId));
      });
      return { value: { answers, elsewhere }, outcomes: [...configured, ...outcomes] };
    });
    const later = async (answer: Answer, i: number): Promise<PoolReply> => {
      if (answer === 'parked') return parked.get(i) as Promise<PoolReply>;
      const lender = elsewhere.get(i);
      const request = requests[i];
      return lender === undefined || request === undefined ? answer : this.#lending.forward(lender, caller, request);
    };
    return Promise.all(answers.map(later));
  }

  // Between shards of the pool. A shard that holds nothing has no agents to lend and no task that is lent.

  async lend(fleet: string, home: Home, ask: LoanAsk): Promise<readonly LoanOffer[]> {
    return this.#asSibling(fleet, home, () => this.#change((engine) => engine.lend(ask))) ?? [];
  }

  async confirmLoans(fleet: string, home: Home, confirmation: LoanConfirmation): Promise<readonly LoanOutcome[]> {
    const confirmed = this.#asSibling(fleet, home, () => this.#change((engine) => engine.confirmLoans(confirmation)));
    return confirmed ?? confirmation.terms.map(() => 'gone' as const);
  }

  async loanNews(fleet: string, home: Home, lender: number, news: readonly LoanNews[]): Promise<readonly LoanStanding[]> {
    const heard = this.#asSibling(fleet, home, () => this.#change((engine) => engine.hearLoans(lender, news)));
    return heard ?? news.map(() => ({ standing: false, status: 'revoked' }));
  }

  async loanOrders(fleet: string, home: Home, orders: readonly LoanOrder[]): Promise<void> {
    await this.#asSibling(fleet, home, () =>
      this.#change((engine) => ({ value: undefined, outcomes: engine.obeyOrders(orders) })),
    );
  }

  async underLoan(
    fleet: string,
    home: Home,
    caller: Caller,
    request: PoolRequest,
    allocationId: string | null,
  ): Promise<PoolReply> {
    const said = this.#asSibling(fleet, home, () =>
      this.#change((engine) => {
        const { answers, outcomes } = engine.execute(caller, [request], allocationId ?? '');
        return { value: answers[0] as PoolReply, outcomes };
      }),
    );
    return said ?? err(notFound('task'));
  }

  async speakOfLoan(fleet: string, home: Home, caller: Caller, request: PoolRequest): Promise<PoolReply> {
    return this.#asSibling(fleet, home, () => this.#lending.speak(caller, request)) ?? err(notFound('task'));
  }

  async hasRoom(lender: number): Promise<void> {
    if (this.#engine !== null) this.#lending.roomAt(lender);
  }

  #asSibling<T>(fleet: string, home: Home, work: () => Promise<T>): Promise<T> | null {
    if (this.#engine === null) return null;
    this.#at(fleet, home, this.#engine.state.config);
    return work();
  }

  async configure(fleet: string, home: Home, config: ShardConfig, caller: Caller): Promise<ShardSummary> {
    const engine = this.#at(fleet, home, config);
    await this.#change((e) => ({ value: undefined, outcomes: e.configure(config, caller) }));
    return engine.summary();
  }

  async poll(
    fleet: string,
    home: Home,
    caller: Caller,
    input: { readonly agentId: string; readonly waiterId: string; readonly max: number; readonly waitMs: number },
  ): Promise<Result<Polled, FleetError>> {
    // A poll of an agent that was never registered must not bring a shard to life.
    if (this.#engine === null) return err(notFound('agent'));
    this.#at(fleet, home, this.#engine.state.config);
    let parked = null as Promise<PolledLeases> | null;
    const result = await this.#change((engine) => {
      const park = input.waitMs > 0 && this.#parking.hasRoom();
      const polled = engine.poll(caller, input.agentId, input.max, park);
      if (polled.result.ok && isEmpty(polled.result.value) && park) {
        parked = this.#parking.parkPoll(input.agentId, input.waiterId, input.waitMs, () => this.#endPoll(input.agentId));
      }
      return { value: polled.result, outcomes: polled.outcomes };
    });
    if (!result.ok) return result;
    const { leaseIds, revoked } = parked === null ? result.value : await parked;
    return ok({ assignments: leaseIds.flatMap((id) => this.#sessions.assignment(id) ?? []), revoked });
  }

  async revoke(
    fleet: string,
    home: Home,
    config: ShardConfig,
    caller: Caller,
    terms: RevokeTerms,
    idempotency: IdempotencyRef | null,
  ): Promise<Result<ShardRevocation, FleetError>> {
    // A shard that was never written holds no lease, and is not brought to life for it.
    if (this.#engine === null) return ok(NOTHING_REVOKED);
    this.#at(fleet, home, config);
    return revokeInSteps(terms, idempotency, async (request) => {
      const reply = await this.#change((engine) => {
        const { answers, outcomes } = engine.execute(caller, [request]);
        return { value: answers[0] as PoolReply, outcomes };
      });
      return reply as Result<RevokeStep, FleetError>;
    });
  }

  async acknowledged(epoch: number, agentIds: readonly string[], waitMs: number): Promise<readonly (AcknowledgedBy | null)[]> {
    const agents = (): PoolEngine['state']['agents'] => this.#engine?.state.agents ?? new Map<string, never>();
    if (this.#parking.hasRoom()) await this.#acknowledgements.wait(stillAwaited(agents(), epoch, agentIds), waitMs);
    return agentIds.map((id) => acknowledgedBy(agents().get(id), epoch));
  }

  #endPoll(agentId: string): void {
    void this.#change((engine) => {
      engine.endPoll(agentId);
      return { value: undefined, outcomes: [] };
    }).catch(() => undefined);
  }

  async withdraw(waiterId: string): Promise<void> {
    if (this.#engine === null) return;
    if (this.#parking.leavePoll(waiterId) || !this.#parking.leaveWaiter(waiterId)) return;
    await this.#change((engine) => {
      engine.withdraw(waiterId);
      return { value: undefined, outcomes: [] };
    });
  }

  async forgetKeys(keys: readonly string[]): Promise<void> {
    if (this.#engine === null) return;
    await this.#change((engine) => {
      engine.forgetKeys(keys);
      return { value: undefined, outcomes: [] };
    });
  }

  async endSessions(agentId: string, tokenId: string): Promise<void> {
    this.#sessions.closeOf(agentId, tokenId);
  }

  // Reads answer from memory at once: the output gate holds every answer until what it may show is durable.
  async getAgent(id: string): Promise<Result<AgentView, FleetError>> {
    await this.#judgeSilent();
    return queries.getAgent(this.#engine, id);
  }

  async getAllocation(id: string): Promise<Result<AllocationView, FleetError>> {
    return queries.getAllocation(this.#engine, this.#storage, id, Date.now());
  }

  async getTask(id: string, waitMs: number): Promise<Result<TaskView, FleetError>> {
    if (waitMs > 0 && this.#engine?.state.tasks.has(id) === true && this.#parking.hasRoom())
      await this.#parking.awaitTask(id, waitMs);
    return queries.getTask(this.#engine, this.#storage, id);
  }

  async whyTask(id: string): Promise<Result<WhyTask, FleetError>> {
    return queries.whyTask(this.#engine, this.#storage, id);
  }

  async explain(caller: Caller, spec: AllocateSpec): Promise<Why> {
    return queries.explainAllocation(this.#engine, caller, spec);
  }

  async explainDemand(demand: DemandSpec): Promise<Why> {
    return queries.explainDemand(this.#engine, demand);
  }

  async listAgents(filter: AgentFilter, after: string | null, limit: number): Promise<Page<AgentView>> {
    await this.#judgeSilent();
    return queries.listAgents(this.#engine, filter, after, limit);
  }

  async listTasks(filter: TaskFilter, after: string | null, limit: number): Promise<Page<TaskView>> {
    return queries.listTasks(this.#engine, this.#storage, filter, after, limit);
  }

  /** Silence is no event: whoever looks at agents is not shown one as idle that has stopped beating. */
  async #judgeSilent(): Promise<void> {
    if (this.#engine?.isAnyoneSilent !== true) return;
    await this.#change((engine) => ({ value: undefined, outcomes: engine.judgeSilent() }));
  }

  async summary(): Promise<ShardSummary> {
    if (this.#engine === null) throw new Error('this shard holds nothing yet');
    return this.#engine.summary();
  }

  /**
   * A change that a waiting group may still hold was before the purge and goes with it. `deleteAll` acts when it is called,
   * so no other call can find the object without its tables.
   */
  async purge(): Promise<void> {
    this.#sessions.closeAll('the fleet was deleted');
    this.#commit.close(new Error('the fleet was deleted'));
    const alarm = this.ctx.storage.deleteAlarm();
    const deleted = this.ctx.storage.deleteAll();
    migrate(this.ctx.storage, POOL_MIGRATIONS);
    this.#storage.forget();
    this.#engine = null;
    this.#armedAtMs = null;
    this.#commit = this.#newCommit();
    this.#reporter.reset();
    this.#parking.clear();
    this.#acknowledgements.clear();
    await Promise.all([alarm, deleted]);
    await this.ctx.storage.sync();
  }

  /** The upgrade of an agent's session; the router has checked that the token is this agent's. */
  override async fetch(request: Request): Promise<Response> {
    const asked = this.#sessions.parse(request);
    if (asked === null) return new Response('expected a session upgrade', { status: 426 });
    if (this.#engine === null) return new Response(null, { status: 404 });
    this.#at(asked.fleet, asked.home, asked.config);
    const { found, granted } = await this.#change((engine) => {
      const { found, outcomes } = engine.sessionOpened(asked.agentId, asked.caller);
      // What this very opening brought is no longer to be delivered: the socket is not there yet.
      const [granted, others] = [outcomes.filter(isFor(asked.agentId)), outcomes.filter((o) => !isFor(asked.agentId)(o))];
      return { value: { found, granted }, outcomes: others };
    });
    return found ? this.#sessions.accept(asked, granted) : new Response(null, { status: 404 });
  }

  override async webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): Promise<void> {
    const asked = this.#sessions.readFrame(socket, message);
    if (asked === null || this.#engine === null) return;
    const request = { command: asked.command };
    const reply = this.#lending.isForeign(asked.command)
      ? await this.#lending.speak(asked.caller, request)
      : (await this.#execute(asked.caller, [request]))[0];
    this.#sessions.answerFrame(socket, asked, reply as PoolReply);
  }

  override async webSocketClose(socket: WebSocket, code: number): Promise<void> {
    await this.#closed(socket, code);
  }

  override async webSocketError(socket: WebSocket): Promise<void> {
    await this.#closed(socket, 1006);
  }

  async #closed(socket: WebSocket, code: number): Promise<void> {
    const agentId = this.#sessions.closed(socket, code);
    if (agentId === null || this.#engine === null) return;
    await this.#change((engine) => ({ value: undefined, outcomes: engine.sessionClosed(agentId) }));
  }
}

const isFor =
  (agentId: string) =>
  (outcome: Outcome): outcome is Extract<Outcome, { readonly type: 'assign' }> =>
    outcome.type === 'assign' && outcome.agentId === agentId;

const SYSTEM: Caller = { fleet: '', subject: 'system', role: 'admin', requestId: '' };
