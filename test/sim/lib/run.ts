import { isEmpty } from '../../../durable-objects/pool/core/polls.ts';
import type { Answer } from '../../../durable-objects/pool/engine.ts';
import type { Outcome } from '../../../durable-objects/pool/outcomes.ts';
import type { IdempotencyRef, RevokeStep } from '../../../shared/rpc.ts';
import { asAgent, OPERATOR } from '../../lib/pool-harness.ts';
import { makeCommand, REMOTE_TASK, type Command, type Sent } from './commands.ts';
import { judgeReply } from './replies.ts';
import type { World } from './world.ts';

/** A call on its way: it may be late, come twice, or overtake another. */
interface Letter {
  readonly sent: Sent;
  readonly idempotency?: IdempotencyRef;
}

/** What is hashed of a request: everything but the name of its wait. */
const bodyOf = ({ command }: Sent): string => JSON.stringify('waiterId' in command ? { ...command, waiterId: '' } : command);

/** Neighbouring letters of one caller go in one call. */
function callsOf(letters: readonly Letter[]): Letter[][] {
  const calls: Letter[][] = [];
  for (const letter of letters) {
    const last = calls.at(-1);
    if (last?.[0]?.sent.caller.subject === letter.sent.caller.subject) last.push(letter);
    else calls.push([letter]);
  }
  return calls;
}

/** Answered by the key alone, so that no step was run. A refusal that may be passed on may be such an answer. */
const isRecalled = (answer: Answer, ref: IdempotencyRef | undefined): boolean =>
  answer !== 'parked' &&
  (answer.replayed === true || (!answer.ok && (answer.error.kind.startsWith('idempotency_') || ref?.passOnRefusal === true)));

/** What can happen to a world, one thing at a time. */
export class Run {
  readonly world: World;
  readonly #inFlight: Letter[] = [];
  #keys = 0;
  #copies = 0;

  constructor(world: World) {
    this.world = world;
  }

  /** Told lazily: nearly every run is made without a trace. */
  trace(line: () => string): void {
    this.world.trace?.(`${this.world.nowMs} ${line()}`);
  }

  /** What is on its way stays there for ever. */
  dropLetters(): void {
    this.#inFlight.length = 0;
  }

  // ---- calls

  command(type: Command): void {
    const sent = makeCommand(this.world, type);
    if (sent === null) return;
    const { random } = this.world;
    const letter = this.#letter(sent);
    // Late, doubled, or both.
    if (random.chance(0.12)) this.#inFlight.push(letter);
    if (random.chance(0.9)) this.send([letter]);
  }

  /** Some calls carry a key: a new one, the last one again with whatever this call is, or an old one. */
  #letter(sent: Sent): Letter {
    const { random } = this.world;
    if (!random.chance(0.2)) return { sent };
    if (random.chance(0.7)) this.#keys += 1;
    const key = `key-${random.chance(0.85) ? this.#keys : random.int(0, this.#keys)}`;
    const passOnRefusal = random.chance(0.15);
    return { sent, idempotency: { key, bodyHash: bodyOf(sent), ...(passOnRefusal ? { passOnRefusal } : {}) } };
  }

  /**
   * Letters of one transaction: those of one caller as one call, several callers as a group commit. A letter with a key may
   * be sent again, as its answer may get lost.
   */
  send(letters: readonly Letter[]): void {
    const world = this.world;
    if (letters.length === 0) return;
    for (const { sent, idempotency } of letters)
      this.trace(
        () =>
          `${sent.caller.subject} ${JSON.stringify(sent.command)} ${idempotency === undefined ? '' : JSON.stringify(idempotency)}`,
      );
    const done = world.call(
      (engine) => {
        const answers: Answer[] = [];
        const outcomes: Outcome[] = [];
        for (const call of callsOf(letters)) {
          const result = engine.execute(
            (call[0] as Letter).sent.caller,
            call.map(({ sent, idempotency }) => ({
              command: sent.command,
              ...(idempotency === undefined ? {} : { idempotency }),
            })),
          );
          answers.push(...result.answers);
          outcomes.push(...result.outcomes);
        }
        // The shell parks the callers inside the transaction, before anything is delivered.
        for (const [i, answer] of answers.entries()) {
          const command = letters[i]?.sent.command;
          if (answer !== 'parked' || command?.type !== 'allocate') continue;
          world.waiting.set(command.waiterId, command.spec.count);
          const idempotency = letters[i]?.idempotency;
          // Its answer may come with this very commit, by what a later letter freed.
          if (idempotency !== undefined) world.answers.parked(command.waiterId, idempotency);
        }
        return { value: answers, outcomes, idle: answers.every((answer, i) => isRecalled(answer, letters[i]?.idempotency)) };
      },
      (answers) => this.#committed(letters, answers),
    );
    if (done === null) {
      for (const letter of letters) if (letter.idempotency !== undefined && world.random.chance(0.7)) this.#inFlight.push(letter);
      return;
    }
    for (const [i, answer] of done.value.entries()) this.#heard(letters[i] as Letter, answer);
  }

  #committed(letters: readonly Letter[], answers: readonly Answer[]): void {
    const world = this.world;
    for (const [i, answer] of answers.entries()) {
      const { sent, idempotency } = letters[i] as Letter;
      if (sent.caller.agentId !== undefined) world.heard.set(sent.caller.agentId, world.nowMs);
      this.trace(() => `  = ${answer === 'parked' ? answer : answer.ok ? 'ok' : answer.error.kind}`);
      if (sent.command.type === 'revokeLeases' && answer !== 'parked' && answer.ok && !isRecalled(answer, idempotency))
        world.history.revoked(sent.command, answer.value as RevokeStep);
      // What later letters of the call did may have undone what an earlier one was told.
      if (letters.length === 1 && !isRecalled(answer, idempotency)) judgeReply(world, sent.caller, sent.command, answer);
      if (idempotency === undefined) continue;
      if (answer !== 'parked') world.answers.replied(idempotency, answer, world);
    }
  }

  #heard({ sent }: Letter, answer: Answer): void {
    const world = this.world;
    if (answer === 'parked' || !answer.ok) return;
    if (sent.command.type === 'registerAgent' && 'liveness' in answer.value) {
      const { id, liveness } = answer.value;
      if (!world.agents.has(id)) world.agents.set(id, { id, liveness, responsive: true, work: [] });
    }
  }

  deliverLate(): void {
    const { random } = this.world;
    if (this.#inFlight.length === 0) return;
    const [letter] = this.#inFlight.splice(random.int(0, this.#inFlight.length - 1), 1);
    if (letter === undefined) return;
    if (random.chance(0.2)) this.#inFlight.push(letter);
    this.trace(() => 'late:');
    const { command } = letter.sent;
    // A wait has a name of its own: its copy is another call.
    this.#copies += 1;
    const again =
      command.type === 'allocate'
        ? { ...letter, sent: { ...letter.sent, command: { ...command, waiterId: `${command.waiterId}+${this.#copies}` } } }
        : letter;
    this.send([again]);
  }

  /** Several commands in one transaction: of one caller, or of many at once. */
  together(types: readonly Command[]): void {
    const { random } = this.world;
    const letters = Array.from({ length: random.int(2, 5) }, (): Letter | null => {
      const sent = makeCommand(this.world, random.pick(types));
      return sent === null ? null : this.#letter(sent);
    }).filter((letter) => letter !== null);
    this.send(letters);
  }

  // ---- agents

  #pickAgent(): string | null {
    const ids = [...this.world.engine.state.agents.keys()];
    return ids.length === 0 ? null : this.world.random.pick(ids);
  }

  openSession(agentId = this.#pickAgent()): void {
    const world = this.world;
    if (agentId === null) return;
    this.trace(() => `open ${agentId}`);
    const done = world.call((engine) => {
      const { found, outcomes } = engine.sessionOpened(agentId, asAgent(agentId));
      if (found) {
        world.sockets.add(agentId);
        world.everOnSession.add(agentId);
        // The newer socket has replaced the older one: a close event of that one means nothing.
        world.closing.delete(agentId);
        world.pongs.set(agentId, world.nowMs);
      }
      return { value: found, outcomes };
    });
    if (done?.value !== true) return;
    const agent = world.agents.get(agentId) ?? { id: agentId, liveness: 'session' as const, responsive: true, work: [] };
    world.agents.set(agentId, agent);
    for (const leaseId of world.engine.state.agents.get(agentId)?.leases ?? []) world.hand(agentId, leaseId);
  }

  /** A socket breaks; the close event comes now or later. */
  closeSession(): void {
    const world = this.world;
    const { random } = world;
    if (world.closing.size > 0 && random.chance(0.7)) {
      const agentId = random.pick([...world.closing]);
      world.closing.delete(agentId);
      this.trace(() => `closed ${agentId}`);
      world.call((engine) => ({ value: undefined, outcomes: engine.sessionClosed(agentId) }));
      return;
    }
    if (world.sockets.size === 0) return;
    const agentId = random.pick([...world.sockets]);
    this.trace(() => `breaks ${agentId}`);
    world.sockets.delete(agentId);
    world.pongs.delete(agentId);
    world.closing.add(agentId);
  }

  freeze(): void {
    const world = this.world;
    if (world.agents.size === 0) return;
    const agent = world.random.pick([...world.agents.values()]);
    agent.responsive = !agent.responsive;
    this.trace(() => `${agent.responsive ? 'thaws' : 'freezes'} ${agent.id}`);
  }

  poll(): void {
    const world = this.world;
    const agentId = this.#pickAgent();
    if (agentId === null) return;
    const park = world.random.chance(0.6);
    this.trace(() => `poll ${agentId} ${park ? 'parked' : ''}`);
    const done = world.call((engine) => {
      const { result, outcomes } = engine.poll(asAgent(agentId), agentId, world.random.int(1, 2), park);
      if (result.ok && isEmpty(result.value) && park) world.polling.add(agentId);
      return { value: result, outcomes };
    });
    if (done?.value.ok === true) for (const leaseId of done.value.value.leaseIds) world.hand(agentId, leaseId);
  }

  endPoll(): void {
    const world = this.world;
    if (world.polling.size === 0) return;
    const agentId = world.random.pick([...world.polling]);
    world.polling.delete(agentId);
    this.trace(() => `poll of ${agentId} ends`);
    world.call((engine) => {
      engine.endPoll(agentId);
      return { value: undefined, outcomes: [], idle: true };
    });
  }

  withdraw(): void {
    const world = this.world;
    if (world.waiting.size === 0) return;
    const waiterId = world.random.pick([...world.waiting.keys()]);
    world.waiting.delete(waiterId);
    this.trace(() => `withdraw ${waiterId}`);
    world.call((engine) => {
      engine.withdraw(waiterId);
      return { value: undefined, outcomes: [], idle: true };
    });
  }

  // ---- time and the machine

  /** Time passes while whoever is well beats. */
  pass(ms: number): void {
    const world = this.world;
    this.trace(() => `+${ms}`);
    world.advance(ms);
    if (ms < 3_000) return;
    for (const agent of world.agents.values()) {
      if (
        agent.liveness === 'heartbeat' &&
        agent.responsive &&
        world.random.chance(0.75) &&
        world.engine.state.agents.has(agent.id)
      )
        this.send([{ sent: { caller: asAgent(agent.id), command: { type: 'heartbeat', agentId: agent.id, leases: [] } } }]);
    }
  }

  toAlarm(): void {
    const world = this.world;
    if (world.alarmAtMs === null) return;
    // Late, at its time, or early; sometimes it never comes.
    const atMs = world.alarmAtMs + world.random.pick([0, 0, 0, 1, 700, -1]);
    if (atMs > world.nowMs) world.advance(atMs - world.nowMs);
    if (world.random.chance(0.1)) {
      this.trace(() => 'the alarm is lost');
      return;
    }
    this.alarm();
  }

  alarm(): void {
    this.trace(() => 'alarm');
    this.world.alarm();
  }

  /** Somebody looks at the agents: nobody who has been silent too long is shown as well. */
  look(): void {
    const { world } = this;
    this.trace(() => 'looks at the agents');
    if (!world.engine.isAnyoneSilent) return;
    world.call((engine) => ({ value: undefined, outcomes: engine.judgeSilent() }));
  }

  crash(): void {
    this.trace(() => 'crash');
    this.world.restart(false);
  }

  hibernate(): void {
    this.trace(() => 'hibernates and wakes');
    this.world.restart(true);
  }

  configure(): void {
    const world = this.world;
    world.config = { version: world.config.version + world.random.int(0, 1), maxAgents: world.random.int(2, 7), priority: 5 };
    this.trace(() => `configure ${JSON.stringify(world.config)}`);
    world.call((engine) => {
      const idle = world.config.version <= engine.state.config.version;
      return { value: undefined, outcomes: engine.configure(world.config, OPERATOR), idle };
    });
  }

  forgetKeys(): void {
    const keys = [`key-${this.#keys}`];
    this.trace(() => `forget ${keys.join()}`);
    this.world.call((engine) => {
      engine.forgetKeys(keys);
      return { value: undefined, outcomes: [], idle: true };
    });
  }

  remoteEnds(status: 'succeeded' | 'failed' | 'missing'): void {
    this.trace(() => `the remote task is ${status}`);
    this.world.call((engine) => ({ value: undefined, outcomes: engine.dependencyEnded(REMOTE_TASK, status) }));
  }
}
