import type { Assignment } from '../../../shared/schemas/agents.ts';
import type { EntryOf } from '../../../test/lib/history.ts';
import type { Seeded } from '../../../test/lib/seeded.ts';
import { pause, rest, type World } from '../world.ts';
import { isAnswered } from './allocator.ts';

/** The roads by which an agent says what becomes of a task. Null: it has no road just now. */
export interface Reports {
  progress(taskId: string, token: number): Promise<EntryOf<'progress'> | null>;
  complete(taskId: string, token: number, result: string): Promise<EntryOf<'complete'> | null>;
  fail(taskId: string, token: number, isRetryable: boolean): Promise<EntryOf<'fail'> | null>;
}

type Ended = EntryOf<'complete'> | EntryOf<'fail'>;

/** Works on one assignment the way good and bad agents do, and says so until it is answered. */
export async function work(
  world: World,
  random: Seeded,
  { taskId, fencingToken: token }: Assignment,
  reports: Reports,
): Promise<void> {
  const result = `done under ${token}`;
  const until = async (report: () => Promise<Ended | null>): Promise<void> => {
    while (!world.isIn('over')) {
      const entry = await report();
      if (entry !== null && isAnswered(entry.answer)) return;
      await rest(random, false);
    }
  };
  const complete = (): Promise<void> => until(() => reports.complete(taskId, token, result));
  if (!world.isIn('faults')) return complete();

  const how = random.weighted({
    atOnce: 45,
    withProgress: 20,
    slowly: 8,
    twice: 8,
    failing: 9,
    hopeless: 2,
    wrongToken: 5,
    dropped: 3,
  });
  switch (how) {
    case 'atOnce':
      return complete();
    case 'withProgress':
      await reports.progress(taskId, token);
      await rest(random);
      return complete();
    case 'slowly':
      await reports.progress(taskId, token);
      await pause(random.int(100, 900));
      return complete();
    case 'twice':
      await complete();
      await reports.complete(taskId, token, result);
      if (random.chance(0.5)) await reports.fail(taskId, token, true);
      return;
    case 'failing':
      await until(() => reports.fail(taskId, token, true));
      // It thinks better of it, too late.
      if (random.chance(0.5)) await reports.complete(taskId, token, result);
      return;
    case 'hopeless':
      return until(() => reports.fail(taskId, token, false));
    case 'wrongToken':
      // Only an older one is certainly nobody's: the next may be this very task's, given out again.
      if (token > 1) await reports.complete(taskId, token - 1, result);
      return complete();
    case 'dropped':
      // Never heard of again: the fleet takes it back at its timeout.
      await reports.progress(taskId, token);
  }
}
