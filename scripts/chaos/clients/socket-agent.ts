import { WebSocket } from 'ws';
import type { Assignment } from '../../../shared/schemas/agents.ts';
import { SESSION_PROTOCOL, type ServerFrame } from '../../../shared/schemas/session.ts';
import type { Answer, EntryOf } from '../../../test/lib/history.ts';
import { refusalOf } from '../http.ts';
import { pause, rest, type World } from '../world.ts';
import { AgentLife, type Identity } from './agent.ts';
import { overHttp } from './poll-agent.ts';
import { work, type Reports } from './work.ts';

const PING_MS = 1_000;
/** Past the grace of a closed socket: the fleet gives the agent up. */
const VANISHED_MS = 5_500;

/** An agent on a socket, that comes back after every crash, and now and then breaks off by itself. */
export async function socketAgent(world: World, index: number): Promise<void> {
  const life = new AgentLife(world, 'socket', 'session', index);
  const running = new Set<Promise<void>>();
  while (!world.isIn('over')) {
    const identity = await life.identity();
    if (identity === null) break;
    const session = new Session(world.http.url, identity);
    const onTask = (assignment: Assignment, via: 'socket' | 'welcome'): void => {
      const reports = roads(life, identity, session);
      const done = life.take(assignment, via, identity.id, () => work(world, life.random, assignment, reports));
      running.add(done);
      void done.finally(() => running.delete(done));
    };
    session.onTask = onTask;
    const breakAt = Date.now() + life.random.int(500, 6_000);
    while (session.isAlive && !world.isIn('over')) {
      await pause(50);
      // A drained or removed agent leaves, when it has done what it holds.
      const now = await life.identity();
      if (now?.id !== identity.id && life.busy === 0) session.end();
      if (world.isIn('faults') && Date.now() > breakAt && life.random.chance(0.3)) session.end();
    }
    session.end();
    if (life.random.chance(0.04) && world.hasTimeFor(VANISHED_MS)) await pause(VANISHED_MS);
    await rest(life.random, false);
  }
  await Promise.all(running);
}

/** Reports go over the socket that is open now, sometimes over HTTP beside it. */
function roads(life: AgentLife, identity: Identity, first: Session): Reports {
  const http = overHttp(life, identity);
  const { random, calls } = life;
  const session = (): Session | null => (random.chance(0.1) || !first.isOpen ? null : first);
  const ask = async <K extends 'progress' | 'complete' | 'fail'>(
    op: K,
    input: Parameters<typeof calls.recorder.begin<K>>[2],
    frame: Record<string, unknown>,
    over: Session,
  ): Promise<EntryOf<K>> => {
    const done = calls.recorder.begin(calls.client, op, input);
    const answer = await over.ask({ type: op, ...frame });
    return done(answer);
  };
  const { id: agentId } = identity;
  return {
    progress(taskId, token) {
      const over = session();
      if (over === null) return http.progress(taskId, token);
      return ask('progress', { taskId, token, agentId }, { taskId, fencingToken: token }, over);
    },
    complete(taskId, token, result) {
      const over = session();
      if (over === null) return http.complete(taskId, token, result);
      return ask('complete', { taskId, token, agentId, result }, { taskId, fencingToken: token, result }, over);
    },
    fail(taskId, token, isRetryable) {
      const over = session();
      if (over === null) return http.fail(taskId, token, isRetryable);
      const frame = { taskId, fencingToken: token, error: 'chaos', retryable: isRetryable };
      return ask('fail', { taskId, token, agentId, isRetryable }, frame, over);
    },
  };
}

/** One socket. Frames that have no answer when it closes are open. */
class Session {
  readonly #socket: WebSocket;
  readonly #asked = new Map<number, (answer: Answer<Record<string, never>>) => void>();
  readonly #pings: ReturnType<typeof setInterval>;
  #frames = 0;
  isAlive = true;
  onTask: (assignment: Assignment, via: 'socket' | 'welcome') => void = () => undefined;

  constructor(url: string, { id, token }: Identity) {
    this.#socket = new WebSocket(`${url.replace(/^http/, 'ws')}/v1/agents/${id}/session`, [SESSION_PROTOCOL, `bearer.${token}`]);
    this.#pings = setInterval(() => this.isOpen && this.#socket.send('ping'), PING_MS);
    this.#socket.on('message', (data: Buffer) => this.#read(data.toString()));
    this.#socket.on('error', () => this.end());
    this.#socket.on('close', () => this.#closed());
  }

  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  ask(frame: Record<string, unknown>): Promise<Answer<Record<string, never>>> {
    this.#frames += 1;
    const id = this.#frames;
    return new Promise((resolve) => {
      this.#asked.set(id, resolve);
      this.#socket.send(JSON.stringify({ id, ...frame }));
    });
  }

  /** Breaks off without a farewell, as a crash of the agent does. */
  end(): void {
    this.#socket.terminate();
    this.#closed();
  }

  #closed(): void {
    this.isAlive = false;
    clearInterval(this.#pings);
    for (const answer of this.#asked.values()) answer({ kind: 'open', why: 'socket closed' });
    this.#asked.clear();
  }

  #read(text: string): void {
    if (text === 'pong') return;
    const frame = JSON.parse(text) as ServerFrame;
    if (frame.type === 'welcome') for (const assignment of frame.held) this.onTask(assignment, 'welcome');
    else if (frame.type === 'assign') this.onTask(frame, 'socket');
    else if (frame.type === 'ack') this.#answer(frame.id, { kind: 'ok', value: {} });
    else if (frame.type === 'error' && frame.id !== undefined) {
      this.#answer(frame.id, refusalOf(frame.problem.status, frame.problem));
    }
  }

  #answer(id: string | number, answer: Answer<Record<string, never>>): void {
    const asked = this.#asked.get(Number(id));
    this.#asked.delete(Number(id));
    asked?.(answer);
  }
}
