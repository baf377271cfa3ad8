import type { BoosterDone, BoosterRefused, BoosterTaskResult } from '../../booster/types.ts';
import { OperationFailed } from '../errors.ts';
import { clean, type Output } from '../output.ts';

/** The result that a command goes on with; anything else is said and ends it. */
export function doneOr(result: BoosterTaskResult, output: Output, what: string): BoosterDone {
  if (result.ok) return result;
  if (output.format === 'json') output.line(JSON.stringify(result, null, 2));
  else if (result.taskId !== undefined) {
    output.line(result.taskId);
    output.note(`an agent of ${result.pool} has it (${result.reason}): ${clean(result.detail)}`);
  } else output.note(refusalText(result, output, what));
  throw new OperationFailed(result.reason);
}

export function refusalText({ reason, detail, candidates }: BoosterRefused, { colors }: Output, what: string): string {
  const lines = [`${colors.red(reason)} ${clean(what)}: ${clean(detail)}`];
  for (const candidate of candidates ?? []) lines.push(`  could be ${candidateText(candidate)}`);
  return lines.join('\n');
}

function candidateText(candidate: unknown): string {
  if (typeof candidate !== 'object' || candidate === null) return clean(JSON.stringify(candidate));
  const { line, column, text, detail } = candidate as Readonly<Record<string, unknown>>;
  const place = typeof line === 'number' ? `${line}${typeof column === 'number' ? `:${column}` : ''} ` : '';
  const words = typeof text === 'string' ? text : typeof detail === 'string' ? detail : JSON.stringify(candidate);
  return `${place}${clean(words.split('\n', 1)[0] ?? '')}`;
}

/** Who made it, for whoever sits before the screen. */
export function madeByText({ madeBy, proofs }: BoosterDone): string {
  return madeBy.kind === 'agent'
    ? `made by agent ${madeBy.agentId ?? 'unknown'} (${madeBy.taskId}); nobody proved it`
    : `made by ${madeBy.engine}${proofs.length === 0 ? '' : `, proved: ${proofs.join(', ')}`}`;
}
