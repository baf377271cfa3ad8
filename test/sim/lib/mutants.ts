import type { PoolEngine } from '../../../durable-objects/pool/engine.ts';
import type { PoolStorage } from '../../../durable-objects/pool/storage.ts';
import type { PoolRequest, RevokeStep } from '../../../shared/rpc.ts';
import { copyOf } from './sim-storage.ts';
import type { World } from './world.ts';

/** A bug planted from outside, to see that the simulation would find it. */
export interface Mutant {
  readonly engine?: (engine: PoolEngine) => PoolEngine;
  readonly storage?: (storage: PoolStorage) => PoolStorage;
  readonly afterCommit?: (world: World) => void;
}

/** An engine whose requests are changed on the way in. */
const changed =
  (change: (request: PoolRequest, engine: PoolEngine) => PoolRequest) =>
  (engine: PoolEngine): PoolEngine =>
    override(engine, {
      execute: (caller: Parameters<PoolEngine['execute']>[0], requests: readonly PoolRequest[]) =>
        engine.execute(
          caller,
          requests.map((request) => change(request, engine)),
        ),
    });

/** The object with some of its methods replaced; the others keep their own `this`. */
function override<T extends object>(target: T, methods: Readonly<Record<string, unknown>>): T {
  return new Proxy(target, {
    get(object, name): unknown {
      const own = typeof name === 'string' ? methods[name] : undefined;
      if (own !== undefined) return own;
      const value: unknown = Reflect.get(object, name, object);
      return typeof value === 'function' ? (value.bind(object) as unknown) : value;
    },
  });
}

export const MUTANTS: Readonly<Record<string, Mutant>> = {
  'release ignores the fencing token': {
    engine: changed((request, engine) => {
      const { command } = request;
      const token = command.type === 'release' ? engine.state.leases.get(command.allocationId)?.fencingToken : undefined;
      return token === undefined ? request : ({ ...request, command: { ...command, fencingToken: token } } as PoolRequest);
    }),
  },
  'renew ignores the fencing token': {
    engine: changed((request, engine) => {
      const { command } = request;
      const token = command.type === 'renew' ? engine.state.leases.get(command.allocationId)?.fencingToken : undefined;
      return token === undefined ? request : ({ ...request, command: { ...command, fencingToken: token } } as PoolRequest);
    }),
  },
  'a completion is accepted with any token': {
    engine: changed((request, engine) => {
      const { command } = request;
      const token = command.type === 'completeTask' ? engine.state.tasks.get(command.taskId)?.fencingToken : undefined;
      return token == null ? request : ({ ...request, command: { ...command, fencingToken: token } } as PoolRequest);
    }),
  },
  'answers before the write': {
    // What one transaction writes is stored with the next one only: a crash in between loses it.
    storage: (storage) => {
      let late: (() => void) | null = null;
      return override(storage, {
        write: (...[changes, meta]: Parameters<PoolStorage['write']>) => {
          const copy = copyOf(changes);
          late?.();
          late = () => storage.write(copy, meta);
        },
      });
    },
  },
  'the idempotency answer is not kept': { storage: (storage) => override(storage, { putAnswer: () => undefined }) },
  'the audit row is forgotten': { storage: (storage) => override(storage, { audit: () => undefined }) },
  'the last token is not stored': {
    storage: (storage) =>
      override(storage, {
        write: (...[changes, meta]: Parameters<PoolStorage['write']>) => storage.write(changes, { ...meta, lastFence: 0 }),
      }),
  },
  'a released lease keeps its slots': {
    engine: (engine) =>
      override(engine, {
        execute: (...args: Parameters<PoolEngine['execute']>) => {
          const done = engine.execute(...args);
          for (const [i, answer] of done.answers.entries()) {
            if (args[1][i]?.command.type !== 'release' || answer === 'parked' || !answer.ok || !('agentId' in answer.value))
              continue;
            const agent = engine.state.agents.get(answer.value.agentId ?? '');
            if (agent !== undefined) agent.slotsUsed += 1;
          }
          return done;
        },
      }),
  },
  'an agent is granted beyond its slots': {
    engine: (engine) =>
      override(engine, {
        execute: (...args: Parameters<PoolEngine['execute']>) => {
          // Selection and grant see free slots that are not there, and nothing is left to be seen afterwards.
          const agents = [...engine.state.agents.values()];
          for (const agent of agents) Object.assign(agent.record.spec, { slots: agent.record.spec.slots + 1 });
          const done = engine.execute(...args);
          for (const agent of agents) Object.assign(agent.record.spec, { slots: agent.record.spec.slots - 1 });
          return done;
        },
      }),
  },
  'a revocation says that it is done before it is': {
    engine: (engine) =>
      override(engine, {
        execute: (...args: Parameters<PoolEngine['execute']>) => {
          const done = engine.execute(...args);
          const answers = done.answers.map((answer, i) =>
            args[1][i]?.command.type === 'revokeLeases' && answer !== 'parked' && answer.ok
              ? { ...answer, value: { ...(answer.value as RevokeStep), more: false } }
              : answer,
          );
          return { ...done, answers };
        },
      }),
  },
  'a revocation under way is not heeded': {
    engine: (engine) =>
      override(engine, {
        execute: (...args: Parameters<PoolEngine['execute']>) => {
          const { revocations } = engine.state;
          if (args[1].some(({ command }) => command.type === 'revokeLeases')) return engine.execute(...args);
          const underWay = [...revocations];
          revocations.clear();
          const done = engine.execute(...args);
          for (const [epoch, revocation] of underWay) revocations.set(epoch, revocation);
          return done;
        },
      }),
  },
  'a revocation leaves out direct leases': {
    engine: changed((request) => {
      const { command } = request;
      if (command.type !== 'revokeLeases' || command.epoch !== null) return request;
      return { ...request, command: { ...command, selector: { ...command.selector, holder: 'nobody' } } };
    }),
  },
  'the quota of a caller is not kept': {
    engine: (engine) =>
      override(engine, {
        execute: (...[caller, requests]: Parameters<PoolEngine['execute']>) => {
          const unlimited = { ...caller };
          Reflect.deleteProperty(unlimited, 'leaseQuota');
          return engine.execute(unlimited, requests);
        },
      }),
  },
  'a counter drifts': {
    afterCommit: ({ engine, random }) => {
      if (random.chance(0.05)) engine.state.taskCounts.queued += 1;
    },
  },
  'a queued task falls out of the queue': {
    afterCommit: ({ engine, random }) => {
      const [id] = engine.state.queue.ids();
      if (id !== undefined && random.chance(0.05)) engine.state.queue.remove(id);
    },
  },
  'the alarm is not set': { engine: (engine) => override(engine, { nextAlarmMs: () => null }) },
  'a wake forgets the open sockets': {
    engine: (engine) => override(engine, { wake: () => engine.wake(new Set()) }),
  },
  'the maximum is not kept': {
    engine: (engine) =>
      override(engine, {
        execute: (...args: Parameters<PoolEngine['execute']>) => {
          const { config } = engine.state;
          engine.state.config = { ...config, maxAgents: config.maxAgents + 1 };
          const done = engine.execute(...args);
          engine.state.config = config;
          return done;
        },
      }),
  },
};
