import { afterEach, describe, expect, it, vi } from 'vitest';
import type { BoosterRun } from '../../../shared/rpc-booster.ts';
import type { BoosterInstruction } from '../../../shared/schemas/booster.ts';
import { adapt } from '../../../workers/booster/adapt.ts';
import { POOL_LIMITS } from '../../../workers/booster/core/state.ts';
import type { CreateEngine, PooledEngine } from '../../../workers/booster/engine-port.ts';
import { SlotPool } from '../../../workers/booster/slot-pool.ts';
import type { Engine } from '../../../wasm/booster/engine.ts';
import { newEngine } from '../../lib/booster.ts';

const call = (tasks: readonly BoosterInstruction[], more: Partial<BoosterRun> = {}): BoosterRun => ({
  fleet: 'a',
  region: 'eu-west-1',
  requestId: 'req-1',
  tasks,
  ...more,
});
const check = (original: string, more: Partial<BoosterInstruction> = {}): BoosterInstruction => ({
  operation: 'check',
  path: 'a.js',
  original,
  ...more,
});

/** A pool of real engines that a test can reach. */
function realPool(limits = POOL_LIMITS) {
  const engines: Engine[] = [];
  const log = vi.fn();
  const createEngine: CreateEngine = async () => {
    const engine = await newEngine();
    engines.push(engine);
    return adapt(engine);
  };
  const pool = new SlotPool(
    {
      createEngine,
      prepare: () => null,
      nowMs: () => 1_000,
      yieldTurn: () => new Promise((resolve) => setImmediate(resolve)),
      log,
    },
    'iso',
    limits,
  );
  return { pool, engines, log };
}
/** A pool of scripted engines, for what needs no parser. */
function scripted(run: PooledEngine['run'], memoryBytes = 1) {
  const order: string[] = [];
  const createEngine: CreateEngine = async () => ({
    memoryBytes,
    run(task) {
      order.push(task.original ?? '');
      return run(task);
    },
  });
  const ports = {
    createEngine,
    prepare: () => null,
    nowMs: () => 1_000,
    yieldTurn: () => new Promise<void>((r) => setImmediate(r)),
    log: vi.fn(),
  };
  return { pool: new SlotPool(ports, 'iso'), order, log: ports.log };
}
const OK = { ok: true, output: 'x', engine: 'e', proofs: [] } as const;
afterEach(() => vi.restoreAllMocks());

// Starting engines takes time on a busy machine.
vi.setConfig({ testTimeout: 30_000 });

describe('recovery from real faults', () => {
  it('B240: overwritten memory is detected; the instance is isolated and replaced, and the next operation is right', async () => {
    const { pool, engines, log } = realPool();
    const [before] = await pool.run(call([check('let a = 1;')]));
    engines[0]?.binding().HEAPU8.fill(0xff);
    const [failed] = await pool.run(call([check('let a = 1;')]));
    expect(failed?.reason).toBe('fault');
    expect(engines[0]?.taint).not.toBeNull();
    const [after] = await pool.run(call([check('let a = 1;')]));
    expect(after).toEqual(before);
    expect(engines).toHaveLength(2);
    expect(pool.status('a', 'eu-west-1')).toMatchObject({
      panics: 1,
      operations: 3,
      done: 2,
      slots: [{ slot: 2, operations: 1 }],
    });
    expect(log).toHaveBeenCalledExactlyOnceWith(
      'error',
      expect.any(String),
      expect.objectContaining({ slot: 1, requestId: 'req-1' }),
    );
  });

  it('B241: a fault in the middle of a batch fails one task, and the others are done', async () => {
    const { pool, engines } = realPool();
    await pool.run(call([check('1')]));
    const original = 'let a = 1;';
    const outcomes = await Promise.all([
      pool.run(call(Array.from({ length: 20 }, () => check(original)))),
      (async () => {
        await new Promise((resolve) => setImmediate(resolve));
        engines[0]?.binding().HEAPU8.fill(0xff);
        return [];
      })(),
    ]);
    const reasons = outcomes[0].map(({ reason }) => reason);
    expect(reasons.filter((reason) => reason === 'fault')).toHaveLength(1);
    expect(reasons.filter((reason) => reason === null)).toHaveLength(19);
  });

  it('B242: other slots are unaffected: each has its own memory', async () => {
    const { pool, engines } = realPool();
    const many = Array.from({ length: 40 }, (_, i) => check(`let a${i} = ${i};`));
    await Promise.all([pool.run(call(many)), pool.run(call(many))]);
    expect(engines).toHaveLength(2);
    engines[0]?.binding().HEAPU8.fill(0xff);
    const [a, b] = await Promise.all([pool.run(call(many)), pool.run(call(many))]);
    const faults = [...(a ?? []), ...(b ?? [])].filter(({ reason }) => reason === 'fault');
    expect(faults).toHaveLength(1);
    expect(engines).toHaveLength(3);
    expect(engines[1]?.taint).toBeNull();
  });

  it('B243: a hundred faults in a row leave as many slots and no more memory than before', async () => {
    const { pool, engines } = realPool();
    const sizes: number[] = [];
    for (let i = 0; i < 100; i += 1) {
      const [good] = await pool.run(call([check('let a = 1;')]));
      expect(good?.reason).toBeNull();
      engines.at(-1)?.binding().HEAPU8.fill(0xff);
      const [bad] = await pool.run(call([check('let a = 1;')]));
      expect(bad?.reason).toBe('fault');
      sizes.push(pool.status('a', 'eu-west-1').slots.reduce((sum, slot) => sum + slot.memoryBytes, 0));
    }
    const status = pool.status('a', 'eu-west-1');
    expect(status).toMatchObject({ panics: 100, done: 100 });
    expect(status.slots).toHaveLength(1);
    expect(Math.max(...sizes)).toBe(Math.min(...sizes));
  });

  it('B242: a task that waits for its language has no part in the fault of another one meanwhile', async () => {
    const made: string[] = [];
    const createEngine: CreateEngine = async () => {
      const name = `engine ${made.length + 1}`;
      let broken = false;
      return {
        memoryBytes: 1,
        run(task) {
          made.push(name);
          broken ||= task.original === 'breaks';
          if (broken) throw new WebAssembly.RuntimeError('unreachable');
          return OK;
        },
      };
    };
    const gate = Promise.withResolvers<void>();
    const prepare = (task: BoosterInstruction): Promise<void> | null => (task.original === 'waits' ? gate.promise : null);
    const ports = { createEngine, prepare, nowMs: () => 1, yieldTurn: () => Promise.resolve(), log: vi.fn() };
    const pool = new SlotPool(ports, 'iso', { ...POOL_LIMITS, slots: 1 });
    await pool.run(call([check('starts the engine')]));
    const waiting = pool.run(call([check('waits')]));
    const [broken] = await pool.run(call([check('breaks')]));
    gate.resolve();
    expect(broken?.reason).toBe('fault');
    expect((await waiting)[0]?.reason).toBeNull();
    expect(new Set(made).size).toBe(2);
  });

  it('B244: an instance that cannot be made is a fault like any other', async () => {
    let fails = true;
    const createEngine: CreateEngine = async () => {
      if (fails) throw new WebAssembly.RuntimeError('unreachable');
      return { memoryBytes: 1, run: () => OK };
    };
    const pool = new SlotPool(
      { createEngine, prepare: () => null, nowMs: () => 1, yieldTurn: async () => undefined, log: vi.fn() },
      'iso',
    );
    expect((await pool.run(call([check('x')])))[0]?.reason).toBe('fault');
    fails = false;
    expect((await pool.run(call([check('x')])))[0]?.reason).toBeNull();
  });

  it('B245: the log of a fault holds no code', async () => {
    const { pool, log } = scripted(() => {
      throw new RangeError('Maximum call stack size exceeded');
    });
    await pool.run(call([check('let secret = 42;')]));
    expect(JSON.stringify(log.mock.calls)).not.toContain('secret');
  });
});

describe('work', () => {
  it('B250: answers stand in the order of the tasks; the important ones are done first', async () => {
    const { pool, order } = scripted((task) => ({ ...OK, output: task.original }));
    const outcomes = await pool.run(call([check('low', { priority: 1 }), check('high', { priority: 9 }), check('none')]));
    expect(order).toEqual(['high', 'none', 'low']);
    expect(outcomes.map(({ json }) => (JSON.parse(json) as { output: string }).output)).toEqual(['low', 'high', 'none']);
  });

  it('B251: a more important call overtakes a batch that is under way', async () => {
    const { pool, order } = scripted(() => OK);
    const batch = pool.run(call(Array.from({ length: 200 }, (_, i) => check(`batch ${i}`))));
    const urgent = pool.run(call([check('urgent', { priority: 10 })]));
    await Promise.all([batch, urgent]);
    expect(order.indexOf('urgent')).toBeLessThan(40);
  });

  it('B252: what one fleet did shows to no other fleet and not in another region', async () => {
    const { pool } = scripted(() => ({ ok: false, reason: 'ambiguous', detail: 'd' }));
    await pool.run(call([check('x'), check('y')]));
    expect(pool.status('a', 'eu-west-1')).toMatchObject({ operations: 2, refused: { ambiguous: 2 }, slots: [{ operations: 2 }] });
    for (const [fleet, region] of [
      ['b', 'eu-west-1'],
      ['a', 'us-east-1'],
    ] as const) {
      expect(pool.status(fleet, region)).toMatchObject({ operations: 0, refused: {}, slots: [{ operations: 0 }] });
    }
  });

  it('B253: instances above their memory or out of budget are counted as recycled, not as panics', async () => {
    const heavy = scripted(() => OK, POOL_LIMITS.slotBytes + 1);
    await heavy.pool.run(call([check('x'), check('y')]));
    expect(heavy.pool.status('a', 'eu-west-1')).toMatchObject({ recycled: 2, panics: 0, done: 2 });
    const spent = scripted(() => ({ ok: false, reason: 'budget', detail: 'd' }));
    await spent.pool.run(call([check('x')]));
    expect(spent.pool.status('a', 'eu-west-1')).toMatchObject({ recycled: 1, panics: 0, refused: { budget: 1 } });
  });

  it('B254: without a name the language is told from the code, or it is refused', async () => {
    const { pool } = realPool();
    const told = async (original: string): Promise<unknown> => {
      const [outcome] = await pool.run(call([{ operation: 'check', original }]));
      const answer = JSON.parse(outcome?.json ?? '') as { language?: string; reason?: string };
      return answer.language ?? answer.reason;
    };
    expect(await told('def f(x):\n    return x\n')).toBe('python');
    expect(await told('package main\n\nfunc main() {}\n')).toBe('go');
    expect(await told('fn main() { let mut a = 1; a += 1; }\n')).toBe('rust');
    expect(await told('public class A { void m() {} }\n')).toBe('java');
    expect(await told('interface A { b: string }\n')).toBe('typescript');
    expect(await told('.a {\n  color: red;\n}\n')).toBe('css');
    expect(await told('const a = (b) => b;\n')).toBe('javascript');
    expect(await told('{"a": [1, 2]}\n')).toBe('json');
    expect(await told('This is prose, and nothing else.')).toBe('unsupported');
    expect(await told('')).toBe('unsupported');
  });
});
