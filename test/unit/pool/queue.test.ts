import { describe, expect, it } from 'vitest';
import { PoolHarness } from '../../lib/pool-harness.ts';

const noBackoff = { baseMs: 0, factor: 1, maxMs: 0, jitter: 0 };

describe('the queue', () => {
  it('P43: a freed agent takes the best that waits, not what has just come back', () => {
    const h = new PoolHarness();
    h.connected({ capabilities: ['x'] });
    const low = h.submit({ priority: 1, retry: noBackoff });
    const high = h.submit({ priority: 9, capabilities: ['x'] });
    h.fail(h.work(low));
    expect([h.task(low).status, h.task(high).status]).toEqual(['queued', 'assigned']);
  });

  it('P43: of several that arrive at one moment the best is served first', () => {
    const h = new PoolHarness();
    h.connected({ capabilities: ['x'] });
    const low = h.submit({ priority: 1, delayMs: 1_000 });
    const high = h.submit({ priority: 9, capabilities: ['x'], delayMs: 1_000 });
    h.advance(1_000);
    expect([h.task(low).status, h.task(high).status]).toEqual(['queued', 'assigned']);
  });

  it('P47: a concurrency limit holds over a restart: tasks under way are counted before those that wait', () => {
    const h = new PoolHarness();
    const concurrency = { key: 'k', limit: 1, strategy: 'queue' } as const;
    const waiting = h.submit({ concurrency, priority: 1, delayMs: 1_000 });
    const running = h.submit({ concurrency, priority: 9 });
    const agents = [h.connected(), h.connected()];
    h.accept(h.work(running));
    h.advance(1_000);
    expect([h.task(running).status, h.task(waiting).status]).toEqual(['running', 'queued']);
    h.restart({ socketsSurvive: true });
    expect([h.task(running).status, h.task(waiting).status]).toEqual(['running', 'queued']);
    expect(agents.map((id) => h.status(id)).toSorted()).toEqual(['busy', 'idle']);
    h.complete(h.work(running));
    expect(h.task(waiting).status).toBe('assigned');
  });

  it('P47: the newest task says what the limit is, for those who wait already, too', () => {
    const h = new PoolHarness();
    h.connected({ slots: 9 });
    const submit = (limit: number): string => h.submit({ concurrency: { key: 'k', limit, strategy: 'queue' } });
    const first = [submit(1), submit(1)];
    expect(first.map((id) => h.task(id).status)).toEqual(['assigned', 'queued']);
    const later = submit(3);
    expect([...first, later].map((id) => h.task(id).status)).toEqual(['assigned', 'assigned', 'assigned']);
    const last = submit(1);
    h.complete(h.work(later));
    expect(h.task(last).status).toBe('queued');
    for (const id of first) h.complete(h.work(id));
    expect(h.task(last).status).toBe('assigned');
  });

  it('P48: a task that replaces the one it depends on fails with it', () => {
    const h = new PoolHarness();
    const concurrency = { key: 'k', limit: 1, strategy: 'cancel_oldest' } as const;
    const oldest = h.submit({ concurrency });
    const task = h.submit({ concurrency, dependsOn: [oldest] });
    expect([h.task(oldest).status, h.task(task).status]).toEqual(['cancelled', 'failed']);
  });
});
