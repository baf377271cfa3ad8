import { describe, expect, it } from 'vitest';
import { checkHistory } from '../../../scripts/chaos/checks.ts';
import { Facts } from '../../../scripts/chaos/facts.ts';
import { checkLinearizability } from '../../../scripts/chaos/operations.ts';
import type { Answer, Entry, EntryOf, Granted, OperationName, Operations } from '../../lib/history.ts';

const AGENT = 'agt.eu-west-1.coder.0.01J0000000000000000000000A';
const TASK = 'tsk.eu-west-1.coder.0.01J0000000000000000000000T';

/** Writes a history by hand. Each operation takes ten milliseconds, the next begins ten after it. */
class Story {
  readonly entries: Entry[] = [];
  atMs = 1_000;

  answered<K extends OperationName>(
    op: K,
    input: Operations[K]['input'],
    answer: Answer<Operations[K]['output']>,
    client = 'c',
  ): this {
    const entry = { n: this.entries.length + 1, client, op, input, call: this.atMs, end: this.atMs + 10, answer };
    this.entries.push(entry as unknown as EntryOf<K>);
    this.atMs += 20;
    return this;
  }

  ok<K extends OperationName>(op: K, input: Operations[K]['input'], value: Operations[K]['output'], client = 'c'): this {
    return this.answered(op, input, { kind: 'ok', value }, client);
  }

  refused<K extends OperationName>(op: K, input: Operations[K]['input'], code: string, status = 409, client = 'c'): this {
    return this.answered(op, input, { kind: 'refused', status, code }, client);
  }

  at(ms: number): this {
    this.atMs = ms;
    return this;
  }

  register(slots = 1, id = AGENT): this {
    const [, , pool = ''] = id.split('.');
    const input = { key: null, body: 'b', pool, slots, liveness: 'none' as const };
    return this.ok('register', input, { agentId: id, hash: id, isReplay: false });
  }

  allocate(
    id: string,
    token: number,
    more: { readonly key?: string; readonly body?: string; readonly isReplay?: boolean; readonly agentId?: string } = {},
  ): this {
    const lease: Granted = { allocationId: id, agentId: more.agentId ?? AGENT, token, slots: 1, endsAtMs: 10_000 };
    const input = { key: more.key ?? null, body: more.body ?? 'b', count: 1, slots: 1, leaseMs: 5_000 };
    return this.ok('allocate', input, { hash: id, isReplay: more.isReplay ?? false, leases: [lease] });
  }

  release(id: string, token: number): this {
    return this.ok('release', { allocationId: id, token }, { status: 'released' });
  }

  look(id: string, token: number, status: 'active' | 'released' | 'expired' | 'revoked', endsAtMs = 10_000): this {
    const value = { allocationId: id, agentId: AGENT, token, slots: 1, endsAtMs, status };
    return this.ok('getAllocation', { allocationId: id }, value, 'auditor');
  }

  submit(): this {
    return this.ok(
      'submit',
      { key: null, body: 'b', payload: 'p', maxAttempts: 3 },
      { taskId: TASK, hash: 'h', isReplay: false },
    );
  }

  assigned(allocationId: string, token: number, agentId = AGENT): this {
    return this.ok('assigned', { agentId, via: 'poll' }, { taskId: TASK, allocationId, token, attempt: 1, payload: 'p' });
  }

  complete(token: number, result = `r${token}`): this {
    return this.ok('complete', { taskId: TASK, token, agentId: AGENT, result }, {});
  }

  task(status: Operations['getTask']['output']['status'], result: string | null = null, attempts = 1): this {
    return this.ok('getTask', { taskId: TASK }, { status, attempts, result, errorCode: null }, 'auditor');
  }

  /** The rules that are broken, in order of their names. */
  get broken(): readonly string[] {
    const facts = new Facts(this.entries);
    const found = [...checkHistory(facts), ...checkLinearizability(facts).violations];
    return [...new Set(found.map(({ rule }) => rule))].sort();
  }
}

const story = (): Story => new Story();
const ORDER = 'linearizability';

describe('good histories', () => {
  it('one holder after another', () => {
    expect(
      story()
        .register()
        .allocate('a', 1)
        .release('a', 1)
        .allocate('b', 2)
        .look('a', 1, 'released')
        .at(10_100)
        .look('b', 2, 'expired').broken,
    ).toEqual([]);
  });

  it('a call without an answer that was done, or not', () => {
    const open: Answer<never> = { kind: 'open', why: 'socket' };
    const lease = story().register().allocate('a', 1).answered('release', { allocationId: 'a', token: 1 }, open);
    lease.ok('kill', { pid: 1 }, {}, 'killer');
    expect(new Story().entries).toEqual([]);
    const after = (status: 'active' | 'released', at: number): readonly string[] => {
      const one = new Story();
      one.entries.push(...lease.entries);
      return one.at(at).look('a', 1, status).broken;
    };
    expect(after('released', 2_000)).toEqual([]);
    expect(after('active', 2_000)).toEqual([]);
  });

  it('a task that is given out again and completed by the last holder', () => {
    const done = story().register(2).submit().assigned('a', 1).assigned('b', 2);
    done.refused('complete', { taskId: TASK, token: 1, agentId: AGENT, result: 'r1' }, 'lease_superseded');
    done.complete(2).complete(2).task('succeeded', 'r2', 2).look('a', 1, 'revoked').look('b', 2, 'released');
    expect(done.broken).toEqual([]);
  });

  it('a key that is repeated, and refused with another body', () => {
    const keyed = story().register().allocate('a', 1, { key: 'k' }).allocate('a', 1, { key: 'k', isReplay: true });
    keyed.refused('allocate', { key: 'k', body: 'other', count: 1, slots: 1, leaseMs: 1 }, 'idempotency_mismatch', 422);
    expect(keyed.at(10_100).look('a', 1, 'expired').broken).toEqual([]);
  });
});

describe('broken promises', () => {
  it('H1: a double grant', () => {
    expect(story().register().allocate('a', 1).allocate('b', 2).release('a', 1).look('a', 1, 'released').broken).toEqual([
      'H1',
      ORDER,
    ]);
  });

  it('H2: a token twice, or going backwards', () => {
    expect(story().register(2).allocate('a', 4).allocate('b', 4).broken).toEqual(['H2', ORDER]);
    expect(story().register(2).allocate('a', 4).allocate('b', 3).broken).toEqual(['H2', ORDER]);
  });

  it('H3: an id given twice', () => {
    expect(story().register(2).allocate('a', 1, { key: 'k' }).allocate('a', 1, { key: 'l' }).broken).toEqual(['H3']);
  });

  it('H4: a stale release, and a result under a token that nobody was given', () => {
    expect(story().register().allocate('a', 2).release('a', 1).broken).toEqual(['H4', ORDER]);
    expect(story().register().submit().assigned('a', 2).complete(1).broken).toContain('H4');
    const codes = story().register().allocate('a', 2).refused('release', { allocationId: 'a', token: 1 }, 'lease_expired');
    expect(codes.broken).toEqual(['H4', ORDER]);
  });

  it('H5: a renewal after the end', () => {
    const late = story()
      .register()
      .allocate('a', 1)
      .at(10_100)
      .ok('renew', { allocationId: 'a', token: 1, leaseMs: 1_000 }, { endsAtMs: 11_100 });
    expect(late.broken).toEqual(['H5', ORDER]);
  });

  it('H6: a release that nobody made, or that is not the same again', () => {
    expect(story().register().allocate('a', 1).look('a', 1, 'released').broken).toEqual(['H6', ORDER]);
    const again = story()
      .register()
      .allocate('a', 1)
      .release('a', 1)
      .refused('release', { allocationId: 'a', token: 1 }, 'lease_superseded');
    expect(again.look('a', 1, 'released').broken).toEqual(['H6', ORDER]);
  });

  it('H7: an acknowledged lease, release, result or agent that is lost', () => {
    const gone = story().register().allocate('a', 1).refused('getAllocation', { allocationId: 'a' }, 'not_found', 404);
    expect(gone.broken).toEqual(['H7']);
    expect(story().register().allocate('a', 1).release('a', 1).look('a', 1, 'active').broken).toEqual([ORDER]);
    expect(story().register().submit().assigned('a', 1).complete(1).task('queued').broken).toEqual(['H23', 'H7', ORDER]);
    expect(story().register().refused('getAgent', { agentId: AGENT }, 'not_found', 404).broken).toEqual(['H7']);
    const undrained = story().register().ok('drain', { agentId: AGENT, deadlineMs: 1 }, { status: 'draining' });
    expect(undrained.ok('getAgent', { agentId: AGENT }, { status: 'idle', slots: 1, slotsFree: 1 }).broken).toEqual(['H7']);
  });

  it('H8: a task completed twice, or by nobody', () => {
    expect(story().register(2).submit().assigned('a', 1).assigned('b', 2).complete(1).complete(2).broken).toEqual(['H8', ORDER]);
    expect(story().submit().task('succeeded', 'r1').broken).toEqual(['H8', ORDER]);
  });

  it('H9: two answers to one key, or one for two bodies', () => {
    expect(story().register(2).allocate('a', 1, { key: 'k' }).allocate('b', 2, { key: 'k', isReplay: true }).broken).toEqual([
      'H9',
      ORDER,
    ]);
    expect(
      story().register(2).allocate('a', 1, { key: 'k' }).allocate('a', 1, { key: 'k', body: 'c', isReplay: true }).broken,
    ).toEqual(['H9', ORDER]);
  });

  it('H10: an agent that is gone', () => {
    const gone = story().register().ok('deregister', { agentId: AGENT, force: false }, { status: 'offline' });
    expect(gone.allocate('a', 1).broken).toEqual(['H10']);
  });

  it('H15 and H23: counters that lie, slots that stay taken', () => {
    const counts = { total: 1, starting: 0, idle: 1, busy: 0, draining: 0, unhealthy: 0, quarantined: 0, offline: 0 };
    const tasks = { queued: 0, assigned: 0, running: 0, succeeded: 0, failed: 0, cancelled: 0, dead: 0 };
    const right = { agents: counts, listedAgents: { total: 1, idle: 1 }, tasks, listedTasks: {} };
    expect(story().ok('recount', { pool: 'coder' }, right).broken).toEqual([]);
    expect(story().ok('quiet', { pool: 'coder' }, { busy: 0 }).broken).toEqual([]);
    expect(story().ok('quiet', { pool: 'coder' }, { busy: 1 }).broken).toEqual(['H23']);
    expect(story().ok('recount', { pool: 'coder' }, { ...right, listedAgents: { total: 1, busy: 1 } }).broken).toEqual(['H15']);
    expect(
      story().ok('listed', { pool: 'coder' }, { agents: [{ id: AGENT, slots: 2, slotsFree: 1, status: 'idle' }] }).broken,
    ).toEqual(['H23']);
  });

  it('H7: settings and tokens', () => {
    const settings = story()
      .ok('putPool', { pool: 'p', maxAgents: 1_001 }, {})
      .ok('getPool', { pool: 'p' }, { maxAgents: 1_001 });
    expect(settings.broken).toEqual([]);
    expect(settings.ok('getPool', { pool: 'p' }, { maxAgents: 1_000 }).broken).toEqual([ORDER]);
    const token = story()
      .ok('mint', {}, { tokenId: 't' })
      .ok('useToken', { tokenId: 't' }, {})
      .ok('revoke', { tokenId: 't' }, {});
    expect(token.ok('useToken', { tokenId: 't' }, {}).refused('useToken', { tokenId: 't' }, 'unauthorized', 401).broken).toEqual(
      [],
    );
    expect(token.at(9_000).ok('useToken', { tokenId: 't' }, {}).broken).toEqual(['H7']);
    expect(story().ok('mint', {}, { tokenId: 't' }).refused('useToken', { tokenId: 't' }, 'unauthorized', 401).broken).toEqual([
      'H7',
    ]);
  });

  it('H16: a pool above its maximum', () => {
    const tight = (n: number): string => `agt.eu-west-1.architect.0.01J0000000000000000000000${n}`;
    const full = [1, 2, 3, 4, 5].reduce((one, n) => one.register(1, tight(n)), story());
    expect(full.broken).toEqual([]);
    expect(full.register(1, tight(6)).broken).toEqual(['H16']);
  });

  it('H17: more attempts than allowed', () => {
    expect(story().submit().task('dead', null, 4).broken).toEqual(['H17']);
  });

  it('never a 500', () => {
    expect(
      story().answered('renew', { allocationId: 'a', token: 1, leaseMs: 1 }, { kind: 'open', why: '500 internal' }).broken,
    ).toEqual(['never a 500']);
  });
});
