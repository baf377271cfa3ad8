import { LIMITS } from '../../../shared/limits.ts';
import { type BatchResult, batchResult, chunk } from '../batch.ts';
import type { CallOptions, HttpClient } from '../http.ts';
import { newKey } from '../new-key.ts';
import type { AllocateInput, AllocationInfo, BatchItem, Revocation, RevokeInput, TaskResult, Why } from '../types.ts';

/** One operation of `POST /v1/allocations/batch`. */
export type AllocationOperation =
  | ({ readonly op: 'allocate'; readonly idempotencyKey?: string } & AllocateInput)
  | { readonly op: 'renew'; readonly id: string; readonly fencingToken: number; readonly leaseMs?: number }
  | { readonly op: 'release'; readonly id: string; readonly fencingToken: number; readonly result?: TaskResult };

const path = (id: string, rest = ''): string => `/v1/allocations/${encodeURIComponent(id)}${rest}`;

export const allocate = (http: HttpClient, input: AllocateInput, options?: CallOptions): Promise<AllocationInfo> =>
  http.send({ method: 'POST', path: '/v1/allocations', body: input, creates: true, waitMs: input.waitMs }, options);

/** `count` agents, all or none. */
export async function allocateMany(
  http: HttpClient,
  input: AllocateInput & { count: number },
  options?: CallOptions,
): Promise<AllocationInfo[]> {
  const answer = await http.send<AllocationInfo | { allocations: AllocationInfo[] }>(
    { method: 'POST', path: '/v1/allocations', body: input, creates: true, waitMs: input.waitMs },
    options,
  );
  return 'allocations' in answer ? answer.allocations : [answer];
}

export const getAllocation = (http: HttpClient, id: string, options?: CallOptions): Promise<AllocationInfo> =>
  http.send({ method: 'GET', path: path(id) }, options);

export const renewAllocation = (
  http: HttpClient,
  id: string,
  fencingToken: number,
  leaseMs: number,
  options?: CallOptions,
): Promise<AllocationInfo> => http.send({ method: 'POST', path: path(id, '/renew'), body: { fencingToken, leaseMs } }, options);

export const releaseAllocation = (
  http: HttpClient,
  id: string,
  fencingToken: number,
  result?: TaskResult,
  options?: CallOptions,
): Promise<AllocationInfo> =>
  http.send(
    { method: 'POST', path: path(id, '/release'), body: { fencingToken, ...(result === undefined ? {} : { result }) } },
    options,
  );

export const explainAllocation = (http: HttpClient, input: AllocateInput, options?: CallOptions): Promise<Why> =>
  http.send({ method: 'POST', path: '/v1/allocations/explain', body: input }, options);

export const revokeLeases = (http: HttpClient, input: RevokeInput, options?: CallOptions): Promise<Revocation> =>
  http.send(
    {
      method: 'POST',
      path: '/v1/allocations/revoke',
      body: input,
      creates: true,
      waitMs: input.waitMs ?? LIMITS.revokeWaitMsDefault,
    },
    options,
  );

/** Each allocate carries its own key, so a repeated batch grants nothing twice. */
export async function allocationBatch(
  http: HttpClient,
  operations: readonly AllocationOperation[],
  options?: CallOptions,
): Promise<BatchResult<AllocationInfo>[]> {
  const keyed = operations.map((item) => (item.op === 'allocate' ? { idempotencyKey: newKey(), ...item } : item));
  const results: BatchResult<AllocationInfo>[] = [];
  for (const part of chunk(keyed, LIMITS.allocationBatch, LIMITS.bodyBytes)) {
    const answer = await http.send<{ results: BatchItem<AllocationInfo>[] }>(
      { method: 'POST', path: '/v1/allocations/batch', body: { operations: part } },
      options,
    );
    results.push(...answer.results.map(batchResult));
  }
  return results;
}
