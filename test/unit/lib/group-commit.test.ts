import { describe, expect, it } from 'vitest';
import { GroupCommit, OverloadedError, UnchangedError, type CommitStorage } from '../../../durable-objects/lib/group-commit.ts';

/** Storage whose `sync` ends when the test says so. A transaction that throws restores the rows. */
class FakeStorage implements CommitStorage {
  rows: string[] = [];
  readonly groups: string[][] = [];
  readonly #syncs: ((error?: Error) => void)[] = [];

  transactionSync<T>(closure: () => T): T {
    const before = [...this.rows];
    try {
      const value = closure();
      this.groups.push(this.rows.slice(before.length));
      return value;
    } catch (error) {
      this.rows = before;
      throw error;
    }
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#syncs.push((error) => (error === undefined ? resolve() : reject(error)));
    });
  }

  get syncing(): number {
    return this.#syncs.length;
  }

  async settle(error?: Error): Promise<void> {
    const end = this.#syncs.shift();
    if (end === undefined) throw new Error('no sync runs');
    end(error);
    await turn();
  }
}

/** Lets every promise that is due settle. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function setUp(limits: { maxGroup?: number; maxQueued?: number } = {}) {
  const storage = new FakeStorage();
  const faults: unknown[] = [];
  const commit = new GroupCommit({ storage, onFault: (error) => faults.push(error), ...limits });
  const log: string[] = [];
  const write = (row: string): Promise<string> => {
    const done = commit.run(() => {
      storage.rows.push(row);
      return row;
    });
    done.then(
      (value) => log.push(value),
      (error: unknown) => log.push(`${row}: ${String(error)}`),
    );
    return done;
  };
  return { storage, faults, commit, log, write };
}

describe('group commit', () => {
  it('commits at once when nothing is in flight, and answers only after the sync', async () => {
    const { storage, log, write } = setUp();
    void write('a');
    expect(storage.groups).toEqual([['a']]);
    await turn();
    expect(log).toEqual([]);
    await storage.settle();
    expect(log).toEqual(['a']);
  });

  it('collects while a commit is in flight and commits the collected together, in order', async () => {
    const { storage, log, write } = setUp();
    for (const row of ['a', 'b', 'c']) void write(row);
    await turn();
    void write('d');
    expect(storage.groups).toEqual([['a']]);
    await storage.settle();
    expect(storage.groups).toEqual([['a'], ['b', 'c', 'd']]);
    expect(log).toEqual(['a']);
    await storage.settle();
    expect(log).toEqual(['a', 'b', 'c', 'd']);
    expect(storage.syncing).toBe(0);
  });

  it('writes what the works have in common once per group, in their transaction', async () => {
    const storage = new FakeStorage();
    const commit = new GroupCommit({
      storage,
      onFault: () => undefined,
      beforeCommit: () => void storage.rows.push('common'),
    });
    const runs = ['a', 'b', 'c'].map((row) => commit.run(() => void storage.rows.push(row)));
    await storage.settle();
    await storage.settle();
    await Promise.all(runs);
    expect(storage.groups).toEqual([
      ['a', 'common'],
      ['b', 'c', 'common'],
    ]);
  });

  it('commits nothing of a group whose common part cannot be written', async () => {
    const storage = new FakeStorage();
    const faults: unknown[] = [];
    const broken = new Error('no room');
    const commit = new GroupCommit({
      storage,
      onFault: (error) => faults.push(error),
      beforeCommit: () => {
        throw broken;
      },
    });
    await expect(commit.run(() => void storage.rows.push('a'))).rejects.toBe(broken);
    expect([storage.rows, faults]).toEqual([[], [broken]]);
  });

  it('loses no wakeup: a work that comes in any turn round the end of a commit is committed', async () => {
    const { storage, log, write } = setUp();
    const expected: string[] = [];
    for (let microtasks = 0; microtasks < 12; microtasks++) {
      const first = `first${microtasks}`;
      const second = `second${microtasks}`;
      expected.push(first, second);
      void write(first);
      void storage.settle();
      for (let i = 0; i < microtasks; i++) await Promise.resolve();
      void write(second);
      await turn();
      while (storage.syncing > 0) await storage.settle();
    }
    expect(log).toEqual(expected);
    expect(storage.rows).toEqual(expected);
  });

  it('takes a work from inside a work or an answer into the next group', async () => {
    const { storage, commit, log, write } = setUp();
    void commit.run(() => {
      storage.rows.push('outer');
      void write('inner');
    });
    expect(storage.groups).toEqual([['outer']]);
    await storage.settle();
    expect(storage.groups).toEqual([['outer'], ['inner']]);
    await storage.settle();
    expect(log).toEqual(['inner']);
  });

  it('bounds a group and keeps the rest for the next', async () => {
    const { storage, write } = setUp({ maxGroup: 2 });
    for (const row of ['a', 'b', 'c', 'd']) void write(row);
    await storage.settle();
    await storage.settle();
    await storage.settle();
    expect(storage.groups).toEqual([['a'], ['b', 'c'], ['d']]);
  });

  it('refuses above the queue bound with a typed error, and takes again when there is room', async () => {
    const { storage, commit, faults, write } = setUp({ maxQueued: 2 });
    for (const row of ['a', 'b', 'c']) void write(row);
    expect(commit.queued).toBe(2);
    const refused = write('d');
    await expect(refused).rejects.toBeInstanceOf(OverloadedError);
    await expect(refused).rejects.toMatchObject({ overloaded: true });
    await storage.settle();
    void write('e');
    await storage.settle();
    await storage.settle();
    expect(storage.rows).toEqual(['a', 'b', 'c', 'e']);
    expect(faults).toEqual([]);
  });
});

describe('effects', () => {
  it('run after the sync, in order, before any caller of the group is answered', async () => {
    const { storage, commit, log } = setUp();
    const effectful = (name: string): void => {
      void commit
        .run(() => {
          commit.afterCommit(() => log.push(`${name} effect`));
          return name;
        })
        .then((value) => log.push(value));
    };
    effectful('a');
    effectful('b');
    effectful('c');
    await turn();
    expect(log).toEqual([]);
    await storage.settle();
    expect(log).toEqual(['a effect', 'a']);
    await storage.settle();
    expect(log).toEqual(['a effect', 'a', 'b effect', 'c effect', 'b', 'c']);
  });

  it('one that throws is a fault, but the others run and the callers keep their committed answer', async () => {
    const { storage, commit, faults } = setUp();
    const ran: string[] = [];
    const done = commit.run(() => {
      commit.afterCommit(() => {
        throw new Error('broken effect');
      });
      commit.afterCommit(() => ran.push('second'));
      return 'committed';
    });
    await storage.settle();
    await expect(done).resolves.toBe('committed');
    expect(ran).toEqual(['second']);
    expect(faults).toHaveLength(1);
  });

  it('cannot be registered outside of a work', () => {
    const { commit } = setUp();
    expect(() => commit.afterCommit(() => {})).toThrow('outside of a work');
  });
});

describe('faults', () => {
  it('a work that throws rolls back its whole group, rejects all that wait and faults once', async () => {
    const { storage, commit, faults, log, write } = setUp();
    const bug = new Error('bug');
    const effects: string[] = [];
    void write('a');
    const group = Promise.allSettled([
      write('b'),
      commit.run(() => {
        storage.rows.push('half');
        commit.afterCommit(() => effects.push('never'));
        throw bug;
      }),
      write('c'),
    ]);
    await storage.settle();
    for (const outcome of await group) expect(outcome).toEqual({ status: 'rejected', reason: bug });
    expect(log[0]).toBe('a');
    expect(storage.rows).toEqual(['a']);
    expect(effects).toEqual([]);
    expect(faults).toEqual([bug]);
    await expect(write('later')).rejects.toBe(bug);
    expect(storage.rows).toEqual(['a']);
  });

  it('a work that threw before any change is refused alone', async () => {
    const { storage, commit, faults, log, write } = setUp();
    void write('a');
    void write('b');
    const refused = commit.run(() => {
      commit.afterCommit(() => log.push('effect of a refused work'));
      throw new UnchangedError('not now');
    });
    const outcome = expect(refused).rejects.toThrow('not now');
    void write('c');
    await storage.settle();
    await storage.settle();
    await outcome;
    expect(storage.rows).toEqual(['a', 'b', 'c']);
    expect(log).toEqual(['a', 'b', 'c']);
    expect(faults).toEqual([]);
  });

  it('a sync that fails rejects its callers and those who wait, and faults', async () => {
    const { storage, faults, log, write } = setUp();
    const lost = new Error('disk');
    const all = Promise.allSettled([write('a'), write('b')]);
    await storage.settle(lost);
    for (const outcome of await all) expect(outcome).toEqual({ status: 'rejected', reason: lost });
    expect(storage.groups).toEqual([['a']]);
    expect(faults).toEqual([lost]);
    expect(log).toEqual(['a: Error: disk', 'b: Error: disk']);
  });

  it('closed, it takes nothing more, and a commit in flight still answers', async () => {
    const { storage, commit, faults, log, write } = setUp();
    void write('a');
    void write('b');
    commit.close(new Error('over'));
    void write('c');
    await storage.settle();
    expect(storage.rows).toEqual(['a']);
    expect(log).toEqual(['b: Error: over', 'c: Error: over', 'a']);
    expect(faults).toEqual([]);
    expect(storage.syncing).toBe(0);
  });
});
