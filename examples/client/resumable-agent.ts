/**
 * An agent whose work survives its own end: it saves a checkpoint as it goes, and the next attempt begins there.
 * `node examples/client/resumable-agent.ts`, then `npx fleet submit researcher --payload '{"pages": 20}' --wait`; stop the
 * agent on the way and start it again.
 */
import { type AgentTask, NonRetryableError, runAgent } from '@claude-flow/fleet-manager';
import { setTimeout as pause } from 'node:timers/promises';

async function research(task: AgentTask): Promise<{ read: number; startedAt: number }> {
  const { pages } = pagesOf(task.payload);
  const startedAt = typeof task.checkpoint === 'number' ? task.checkpoint : 0;
  for (let page = startedAt; page < pages; page++) {
    await pause(100, undefined, { signal: task.signal }); // heeds cancellation, timeout and a lost lease
    await task.progress({ page: page + 1, pages }, page + 1);
  }
  return { read: pages - startedAt, startedAt };
}

function pagesOf(payload: unknown): { pages: number } {
  if (typeof payload === 'object' && payload !== null && 'pages' in payload && typeof payload.pages === 'number')
    return { pages: payload.pages };
  // Trying again cannot mend the input.
  throw new NonRetryableError('the payload must be {"pages": <number>}', { code: 'bad_payload' });
}

const agent = runAgent({
  pool: 'researcher',
  concurrency: 2,
  handler: research,
  shutdownGraceMs: 0, // hand unfinished work back at once; the checkpoint keeps what is done
  onEvent: (event) => console.error(event.type, 'taskId' in event ? event.taskId : ''),
});
await agent.done;
