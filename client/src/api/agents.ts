import { LIMITS } from '../../../shared/limits.ts';
import { type BatchResult, batchResult, chunk } from '../batch.ts';
import { NotFoundError } from '../errors.ts';
import type { CallOptions, HttpClient } from '../http.ts';
import { newKey } from '../new-key.ts';
import type { Agent, AgentInput, BatchItem, HeartbeatInput, HeartbeatItem, HeartbeatReply, RegisteredAgent } from '../types.ts';

export const agentPath = (id: string, rest = ''): string => `/v1/agents/${encodeURIComponent(id)}${rest}`;

export const registerAgent = (http: HttpClient, input: AgentInput, options?: CallOptions): Promise<RegisteredAgent> =>
  http.send({ method: 'POST', path: '/v1/agents', body: input, creates: true }, options);

/** Each item carries its own key, so a repeated batch registers nobody twice. */
export async function registerAgents(
  http: HttpClient,
  inputs: readonly AgentInput[],
  options?: CallOptions,
): Promise<BatchResult<RegisteredAgent>[]> {
  const keyed = inputs.map((input) => ({ idempotencyKey: newKey(), ...input }));
  const results: BatchResult<RegisteredAgent>[] = [];
  for (const agents of chunk(keyed, LIMITS.agentBatch, LIMITS.bodyBytes)) {
    const answer = await http.send<{ results: BatchItem<RegisteredAgent>[] }>(
      { method: 'POST', path: '/v1/agents/batch', body: { agents } },
      options,
    );
    results.push(...answer.results.map(batchResult));
  }
  return results;
}

/** Gone already is gone: a repeat whose first answer was lost finds nothing, and that is success. */
export async function unregisterAgent(http: HttpClient, id: string, force: boolean, options?: CallOptions): Promise<void> {
  try {
    await http.send({ method: 'DELETE', path: agentPath(id), query: force ? { force: true } : {} }, options);
  } catch (error) {
    if (!(error instanceof NotFoundError && error.attempts > 1)) throw error;
  }
}

export const getAgent = (http: HttpClient, id: string, options?: CallOptions): Promise<Agent> =>
  http.send({ method: 'GET', path: agentPath(id) }, options);

export const heartbeat = (
  http: HttpClient,
  id: string,
  beat: HeartbeatInput,
  options?: CallOptions,
  token?: string,
): Promise<HeartbeatReply> => http.send({ method: 'POST', path: agentPath(id, '/heartbeat'), body: beat, token }, options);

export async function heartbeats(
  http: HttpClient,
  beats: readonly HeartbeatItem[],
  options?: CallOptions,
): Promise<BatchResult<HeartbeatReply>[]> {
  const results: BatchResult<HeartbeatReply>[] = [];
  for (const agents of chunk(beats, LIMITS.agentBatch, LIMITS.bodyBytes)) {
    const answer = await http.send<{ results: BatchItem<HeartbeatReply>[] }>(
      { method: 'POST', path: '/v1/agents/heartbeats', body: { agents } },
      options,
    );
    results.push(...answer.results.map(batchResult));
  }
  return results;
}

export const drainAgent = (http: HttpClient, id: string, deadlineMs?: number, options?: CallOptions): Promise<Agent> =>
  http.send({ method: 'POST', path: agentPath(id, '/drain'), body: deadlineMs === undefined ? {} : { deadlineMs } }, options);

export const quarantineAgent = (http: HttpClient, id: string, reason?: string, options?: CallOptions): Promise<Agent> =>
  http.send({ method: 'POST', path: agentPath(id, '/quarantine'), body: reason === undefined ? {} : { reason } }, options);
