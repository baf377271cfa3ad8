import type { Task } from '../../client/src/types.ts';
import type { Ledger } from './ledger.ts';

/** What the demo knows of a task without asking anybody: the file it sent, and where to. */
export interface Submitted {
  readonly taskId: string;
  readonly path: string;
  readonly sha256: string;
}

export interface Verdict {
  readonly submitted: number;
  /** Succeeded by the fleet's record, with a result that shows the file's own digest. */
  readonly succeeded: number;
  /** Acknowledged exactly once over all ledgers, to the agent and for the attempt that the record names. */
  readonly acknowledgedOnce: number;
  readonly lost: readonly string[];
  readonly twice: readonly string[];
  /** Everything that is not as it must be, in words. Empty: each task was done exactly once. */
  readonly problems: readonly string[];
}

/** Holds the fleet's record and the agents' ledgers against what was submitted. */
export function verify(submitted: readonly Submitted[], records: ReadonlyMap<string, Task>, ledgers: readonly Ledger[]): Verdict {
  const acknowledged = new Map<string, { readonly agentId: string | null; readonly attempt: number }[]>();
  for (const { agentId, completions } of ledgers) {
    for (const { taskId, attempt } of completions) {
      const known = acknowledged.get(taskId);
      if (known === undefined) acknowledged.set(taskId, [{ agentId, attempt }]);
      else known.push({ agentId, attempt });
    }
  }
  const problems: string[] = [];
  const lost: string[] = [];
  const twice: string[] = [];
  let succeeded = 0;
  let acknowledgedOnce = 0;
  if (new Set(submitted.map(({ taskId }) => taskId)).size !== submitted.length)
    problems.push('the fleet gave one id to two tasks');
  for (const task of submitted) {
    const record = records.get(task.taskId);
    const complain = (text: string): void => void problems.push(`${task.taskId} (${task.path}): ${text}`);
    if (record?.status === 'succeeded') {
      if (isAnalysisOf(record.result, task)) succeeded++;
      else complain('its result is not an analysis of the file that was sent');
    } else {
      lost.push(task.taskId);
      complain(
        record === undefined
          ? 'the fleet has no record of it'
          : `${record.status}${record.error ? `, ${record.error.message}` : ''}`,
      );
    }
    const acks = acknowledged.get(task.taskId) ?? [];
    const [ack] = acks;
    if (acks.length > 1) {
      twice.push(task.taskId);
      complain(`acknowledged ${acks.length} times`);
    } else if (ack === undefined) {
      if (record?.status === 'succeeded') complain('succeeded by the record, but no agent has its acknowledgement');
    } else if (ack.agentId !== record?.agentId || ack.attempt !== record.attempts) {
      complain(
        `acknowledged to ${ack.agentId} as attempt ${ack.attempt}, recorded for ${record?.agentId} as attempt ${record?.attempts}`,
      );
    } else acknowledgedOnce++;
  }
  return { submitted: submitted.length, succeeded, acknowledgedOnce, lost, twice, problems };
}

function isAnalysisOf(result: unknown, { path, sha256 }: Submitted): boolean {
  if (typeof result !== 'object' || result === null) return false;
  return 'path' in result && result.path === path && 'sha256' in result && result.sha256 === sha256;
}
