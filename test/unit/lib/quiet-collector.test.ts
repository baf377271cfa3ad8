import { describe, expect, it } from 'vitest';
import { QuietCollector } from '../../../durable-objects/lib/quiet-collector.ts';

/** An isolate whose time passes when it is told to. `busyMs` is how much later than asked its timers come. */
class Isolate {
  nowMs = 1_000_000;
  busyMs = 0;
  collectedAtMs: number[] = [];
  /** Calls that come during each of the next sleeps. */
  callsDuringSleep: number[] = [];
  comeDuringSleep: number[] = [];
  kept: Promise<void>[] = [];
  readonly collector = new QuietCollector({
    nowMs: () => this.nowMs,
    sleep: async (ms) => {
      this.nowMs += ms + this.busyMs;
      this.call(this.callsDuringSleep.shift() ?? 0);
      for (let n = this.comeDuringSleep.shift() ?? 0; n > 0; n -= 1) this.collector.came();
      await Promise.resolve();
    },
    collect: () => void this.collectedAtMs.push(this.nowMs),
  });

  call(times: number): void {
    for (let n = 0; n < times; n += 1) this.collector.served((work) => this.kept.push(work));
  }

  async settle(): Promise<void> {
    await Promise.all(this.kept.splice(0));
  }
}

describe('collecting garbage in pauses', () => {
  it('comes after two hundred calls and half a second, in the first pause', async () => {
    const isolate = new Isolate();
    isolate.nowMs += 500;
    isolate.call(199);
    expect(isolate.kept).toEqual([]);
    isolate.call(1);
    await isolate.settle();
    expect(isolate.collectedAtMs).toEqual([1_000_502]);
  });

  it('comes no sooner than half a second after the one before, however many calls', async () => {
    const isolate = new Isolate();
    for (let ms = 0; ms < 2_000; ms += 10) {
      isolate.nowMs = 1_000_000 + ms;
      isolate.call(100);
      await isolate.settle();
    }
    const gaps = isolate.collectedAtMs.slice(1).map((at, i) => at - (isolate.collectedAtMs[i] ?? 0));
    expect(isolate.collectedAtMs.length).toBe(3);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(500);
  });

  it('does not come while calls do, nor while timers are late, and looks again in the next half second', async () => {
    for (const trouble of ['calls', 'late'] as const) {
      const isolate = new Isolate();
      isolate.nowMs += 500;
      if (trouble === 'calls') isolate.callsDuringSleep = Array.from({ length: 100 }, () => 1);
      else isolate.busyMs = 5;
      isolate.call(200);
      await isolate.settle();
      expect(isolate.collectedAtMs, trouble).toEqual([]);
      isolate.callsDuringSleep = [];
      isolate.busyMs = 0;
      isolate.call(1);
      expect(isolate.kept, trouble).toEqual([]);
      isolate.nowMs += 500;
      isolate.call(1);
      await isolate.settle();
      expect(isolate.collectedAtMs, trouble).toHaveLength(1);
    }
  });

  it('comes where no pause does once there were six hundred calls, unless there are too many or timers are late', async () => {
    for (const [calls, busyMs, collections] of [
      [599, 0, 0],
      [600, 0, 1],
      [600, 5, 0],
      [1_201, 0, 0],
    ] as const) {
      const isolate = new Isolate();
      isolate.nowMs += 500;
      isolate.busyMs = busyMs;
      isolate.comeDuringSleep = Array.from({ length: 100 }, () => 1);
      isolate.call(calls);
      await isolate.settle();
      expect(isolate.collectedAtMs).toHaveLength(collections);
    }
  });

  it('waits for a pause that comes soon', async () => {
    const isolate = new Isolate();
    isolate.nowMs += 500;
    isolate.callsDuringSleep = [3, 1, 0];
    isolate.call(200);
    await isolate.settle();
    expect(isolate.collectedAtMs).toEqual([1_000_506]);
  });

  it('does not come while a call is here, though none was served', async () => {
    const isolate = new Isolate();
    isolate.nowMs += 500;
    isolate.comeDuringSleep = [1, 1, 0];
    isolate.call(200);
    await isolate.settle();
    expect(isolate.collectedAtMs).toEqual([1_000_506]);
  });

  it('a look that went with its object is not waited for for ever', () => {
    let nowMs = 0;
    let looks = 0;
    const collector = new QuietCollector({
      nowMs: () => nowMs,
      sleep: () => new Promise(() => (looks += 1)),
      collect: () => undefined,
    });
    const call = (): void => {
      for (let n = 0; n < 200; n += 1) collector.served(() => undefined);
    };
    for (const [atMs, sofar] of [
      [500, 1],
      [4_000, 1],
      [5_500, 2],
    ] as const) {
      nowMs = atMs;
      call();
      expect(looks).toBe(sofar);
    }
  });

  it('one that fails does not end the looking', async () => {
    const isolate = new Isolate();
    const collector = new QuietCollector({
      nowMs: () => isolate.nowMs,
      sleep: () => Promise.reject(new Error('the object was reset')),
      collect: () => undefined,
    });
    const kept: Promise<void>[] = [];
    const busy = (): void => {
      isolate.nowMs += 500;
      for (let n = 0; n < 200; n += 1) collector.served((work) => kept.push(work));
    };
    busy();
    await expect(kept[0]).rejects.toThrow('reset');
    busy();
    expect(kept).toHaveLength(2);
    await expect(kept[1]).rejects.toThrow('reset');
  });
});
