/**
 * One agent of the demo: the SDK's `runAgent` round an analyser. Endpoint and token come by FLEET_ENDPOINT and FLEET_TOKEN.
 * Started by `agents.ts`, from the bundle that `bundle.ts` makes.
 */
import './leash.ts';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { runAgent } from '../../client/src/agent/run-agent.ts';
import type { AgentTask } from '../../client/src/agent/types.ts';
import { parseSourceFile, type SourceFile } from '../../examples/analysers/source-file.ts';
import { appendEvent } from './ledger.ts';
import type { AnalyserName } from './plan.ts';

const { values } = parseArgs({
  options: {
    pool: { type: 'string', default: '' },
    region: { type: 'string', default: '' },
    capability: { type: 'string', multiple: true, default: [] },
    label: { type: 'string', default: '' },
    analyser: { type: 'string', default: '' },
    ledger: { type: 'string', default: '' },
  },
});

/** Only the one analyser is loaded: the time to start two dozen processes is the time to load their modules. */
async function load(name: AnalyserName): Promise<(file: SourceFile) => unknown> {
  switch (name) {
    case 'syntax':
      return (await import('../../examples/analysers/syntax.ts')).checkSyntax;
    case 'size':
      return (await import('../../examples/analysers/size.ts')).measure;
    case 'review':
      return (await import('../../examples/analysers/review.ts')).review;
  }
}

const analyse = await load(values.analyser as AnalyserName);

async function work(task: AgentTask): Promise<unknown> {
  const result = await analyse(parseSourceFile(task.payload));
  const pauseMs = pauseOf(task.payload);
  if (pauseMs > 0) await sleep(pauseMs, undefined, { signal: task.signal });
  return result;
}

/** The one simulated thing of the demo: a task that takes its time, so that its agent can be killed meanwhile. */
function pauseOf(payload: unknown): number {
  const { simulatedPauseMs } = payload as { readonly simulatedPauseMs?: unknown };
  return typeof simulatedPauseMs === 'number' ? simulatedPauseMs : 0;
}

const [name = '', value = ''] = values.label.split('=', 2);
await runAgent({
  pool: values.pool,
  region: values.region,
  capabilities: values.capability,
  labels: { [name]: value },
  handler: work,
  onEvent: (event) => appendEvent(values.ledger, event),
}).done;
