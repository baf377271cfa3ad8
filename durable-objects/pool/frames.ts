import type { FieldError, FleetError } from '../../shared/errors.ts';
import { jsonDepthWithin, utf8Bytes } from '../../shared/json.ts';
import { LIMITS } from '../../shared/limits.ts';
import { err, ok, unreachable, type Result } from '../../shared/result.ts';
import type { PoolCommand } from '../../shared/rpc.ts';
import { AgentFrameSchema, type AgentFrame } from '../../shared/schemas/session.ts';

export interface ReadFrame {
  readonly id: string | number;
  readonly command: (agentId: string) => PoolCommand;
}
interface BadFrame {
  readonly id: string | number | undefined;
  readonly error: FleetError;
}

/** Reads one frame of an agent: a trust boundary like a request body, with the same bounds. */
export function readAgentFrame(message: string | ArrayBuffer): Result<ReadFrame, BadFrame> {
  const bad = (error: FleetError, id?: string | number): Result<ReadFrame, BadFrame> => err({ id, error });
  if (typeof message !== 'string') return bad({ kind: 'malformed_request', detail: 'Frames are JSON text.' });
  if (utf8Bytes(message) > LIMITS.bodyBytes)
    return bad({
      kind: 'payload_too_large',
      limitBytes: LIMITS.bodyBytes,
      detail: `A frame may have ${LIMITS.bodyBytes} bytes.`,
    });
  let json: unknown;
  try {
    json = JSON.parse(message);
  } catch {
    return bad({ kind: 'malformed_request', detail: 'The frame is not JSON.' });
  }
  const rawId = typeof json === 'object' && json !== null && 'id' in json ? json.id : undefined;
  const id = typeof rawId === 'string' || typeof rawId === 'number' ? rawId : undefined;
  if (!jsonDepthWithin(message, LIMITS.jsonDepth)) {
    return bad(
      {
        kind: 'validation_failed',
        errors: [{ path: '', message: `nested deeper than ${LIMITS.jsonDepth}` }],
        detail: 'The frame is nested too deeply.',
      },
      id,
    );
  }
  const parsed = AgentFrameSchema.safeParse(json);
  if (!parsed.success) {
    const errors: FieldError[] = parsed.error.issues.map((i) => ({ path: i.path.join('.'), message: i.message }));
    return bad({ kind: 'validation_failed', errors, detail: 'The frame fails its schema.' }, id);
  }
  return ok({ id: parsed.data.id, command: (agentId) => commandOf(parsed.data, agentId) });
}

function commandOf(frame: AgentFrame, agentId: string): PoolCommand {
  const held = 'taskId' in frame ? { taskId: frame.taskId, fencingToken: frame.fencingToken } : null;
  switch (frame.type) {
    case 'revoked':
      return { type: 'acknowledgeRevocation', agentId, epoch: frame.epoch };
    case 'metrics':
      return { type: 'heartbeat', agentId, metrics: frame.metrics, leases: [] };
    case 'accept':
      return { type: 'progressTask', ...(held as NonNullable<typeof held>) };
    case 'progress':
      return {
        type: 'progressTask',
        ...(held as NonNullable<typeof held>),
        ...(frame.progress === undefined ? {} : { progress: JSON.stringify(frame.progress) }),
        ...(frame.checkpoint === undefined ? {} : { checkpoint: JSON.stringify(frame.checkpoint) }),
      };
    case 'complete':
      return {
        type: 'completeTask',
        ...(held as NonNullable<typeof held>),
        ...(frame.result === undefined ? {} : { result: JSON.stringify(frame.result) }),
      };
    case 'fail':
      return {
        type: 'failTask',
        ...(held as NonNullable<typeof held>),
        error: typeof frame.error === 'string' ? { code: 'agent_error', message: frame.error } : frame.error,
        retryable: frame.retryable,
      };
    default:
      return unreachable(frame);
  }
}

/** A frame of ours; `body` goes first so that it can never replace type or id. */
export const serverFrame = (type: string, id: string | number, body: Readonly<Record<string, unknown>>): string =>
  JSON.stringify({ ...body, type, id });
