import { expect, test } from 'vitest';
import { FleetManager } from '../../../client/src/fleet-manager.ts';
import type { Task } from '../../../client/src/types.ts';
import { Follower } from '../../../scripts/demo/follow.ts';
import { type Lane, WORK } from '../../../scripts/demo/plan.ts';

const LANE: Lane = { region: 'eu-west-1', work: WORK[0], agents: 2 };
const never = new AbortController().signal;

/** A fleet of nothing but a list of tasks; each look makes some of them end. */
class ScriptedFleet {
  readonly tasks: Task[] = [];
  readonly requests: string[] = [];
  onRequest: () => void = () => undefined;

  add(id: string, demo: string, status: Task['status'] = 'queued'): void {
    const { region, work } = LANE;
    this.tasks.push({ id, pool: work.pool, region, status, priority: 5, attempts: 1, createdAtMs: 0, metadata: { demo } });
  }

  end(count: number): void {
    for (const task of this.tasks.filter(({ status }) => status === 'queued').slice(0, count)) task.status = 'succeeded';
  }

  readonly fetch: typeof fetch = async (input) => {
    this.onRequest();
    const url = new URL(input instanceof Request ? input.url : input);
    this.requests.push(url.pathname + url.search);
    const id = url.pathname.split('/')[3];
    if (id !== undefined) return Response.json(this.tasks.find((task) => task.id === id));
    const limit = Number(url.searchParams.get('limit'));
    const from = Number(url.searchParams.get('cursor') ?? 0);
    const data = this.tasks.slice(from, from + limit);
    return Response.json({ data, ...(from + limit < this.tasks.length ? { nextCursor: String(from + limit) } : {}) });
  };

  manager(): FleetManager {
    return new FleetManager({ endpoint: 'http://fleet.test', token: 'x', fetch: this.fetch });
  }
}

const ids = (count: number): string[] => Array.from({ length: count }, (_, i) => `t${String(i).padStart(5, '0')}`);

test('sees every end, with far fewer requests than tasks', async () => {
  const fleet = new ScriptedFleet();
  for (let i = 0; i < 450; i++) fleet.add(`old${i}`, 'another run', 'succeeded');
  const all = ids(3_000);
  for (const id of all) fleet.add(id, 'run');
  fleet.onRequest = () => fleet.end(400);
  const follower = new Follower(fleet.manager(), [LANE], 'run');
  for (const id of all) follower.add(LANE, id);
  await follower.run({ isComplete: () => true, onLook: () => undefined, signal: never });
  expect([...follower.ended.keys()].toSorted()).toEqual(all);
  expect(follower.pending).toEqual([]);
  expect(fleet.requests.length).toBeLessThan(100);
});

test('one slow task does not hide those behind it', async () => {
  const fleet = new ScriptedFleet();
  const all = ids(700);
  for (const id of all) fleet.add(id, 'run', id === all[3] ? 'running' : 'succeeded');
  const follower = new Follower(fleet.manager(), [LANE], 'run');
  for (const id of all) follower.add(LANE, id);
  let looks = 0;
  await follower.run({
    isComplete: () => true,
    onLook: () => {
      looks++;
      if (looks === 1) expect(follower.ended.size).toBe(699);
      if (looks === 2) fleet.tasks[3]!.status = 'succeeded';
    },
    signal: never,
  });
  expect(follower.ended.size).toBe(700);
});

test('a task that the list shows before its submission is answered is not missed', async () => {
  const fleet = new ScriptedFleet();
  const all = ids(500);
  for (const id of all) fleet.add(id, 'run', 'succeeded');
  const follower = new Follower(fleet.manager(), [LANE], 'run');
  follower.add(LANE, all[0]!);
  let isComplete = false;
  await follower.run({
    isComplete: () => isComplete,
    onLook: () => {
      for (const id of all) follower.add(LANE, id);
      isComplete = true;
    },
    signal: never,
  });
  expect(follower.ended.size).toBe(500);
  expect(follower.pending).toEqual([]);
});
