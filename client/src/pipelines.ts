import { LIMITS } from '../../shared/limits.ts';
import { registerAgent } from './api/agents.ts';
import { type AllocationOperation, allocate, releaseAllocation, renewAllocation } from './api/allocations.ts';
import { submitTask } from './api/tasks.ts';
import { batchResult, utf8Length } from './batch.ts';
import type { CallOptions, HttpClient } from './http.ts';
import { newKey } from './new-key.ts';
import { Pipeline } from './pipeline.ts';
import type { AgentInput, AllocationInfo, BatchItem, RegisteredAgent, SubmitInput, Task } from './types.ts';

/**
 * Whether a call may share a request with others. One with its own key must not: keys belong to a route, and a repeat
 * from another process would take the other route. One with its own signal or limits keeps a request for itself.
 */
export function isPlain(options: CallOptions | undefined): boolean {
  return (
    options === undefined ||
    (options.signal === undefined &&
      options.idempotencyKey === undefined &&
      options.timeoutMs === undefined &&
      options.retries === undefined)
  );
}

/** A call on its way, written once: it may leave alone or with others, and under its key in either case. */
interface Written<Input> {
  readonly input: Input;
  readonly text: string;
}

const written = <Input>(input: Input): Written<Input> => ({ input, text: JSON.stringify(input) });

/** The hot operations; concurrent calls of each kind share requests. */
export class Pipelines {
  readonly #http: HttpClient;
  readonly #register: Pipeline<Written<AgentInput & Keyed>, RegisteredAgent>;
  readonly #submit: Pipeline<Written<SubmitInput & Keyed>, Task>;
  readonly #allocation: Pipeline<Written<AllocationOperation>, AllocationInfo>;

  constructor(http: HttpClient) {
    this.#http = http;
    this.#register = this.#pipeline('/v1/agents/batch', 'agents', LIMITS.agentBatch, ({ idempotencyKey, ...input }) =>
      registerAgent(http, input, { idempotencyKey }),
    );
    this.#submit = this.#pipeline('/v1/tasks/batch', 'tasks', LIMITS.taskBatch, ({ idempotencyKey, ...input }) =>
      submitTask(http, input, { idempotencyKey }),
    );
    this.#allocation = this.#pipeline('/v1/allocations/batch', 'operations', LIMITS.allocationBatch, (operation) =>
      single(http, operation),
    );
  }

  register(input: AgentInput): Promise<RegisteredAgent> {
    return this.#register.run(written({ idempotencyKey: newKey(), ...input }));
  }

  submit(input: SubmitInput): Promise<Task> {
    return this.#submit.run(written({ idempotencyKey: newKey(), ...input }));
  }

  allocation(operation: AllocationOperation): Promise<AllocationInfo> {
    return this.#allocation.run(written(operation.op === 'allocate' ? { idempotencyKey: newKey(), ...operation } : operation));
  }

  #pipeline<Input, Value>(
    path: string,
    field: string,
    maxItems: number,
    one: (input: Input) => Promise<Value>,
  ): Pipeline<Written<Input>, Value> {
    return new Pipeline({
      maxItems,
      bytes: ({ text }) => utf8Length(text),
      one: ({ input }) => one(input),
      many: async (items) => {
        const bodyText = `{"${field}":[${items.map(({ text }) => text).join(',')}]}`;
        const answer = await this.#http.send<{ results: BatchItem<Value>[] }>({ method: 'POST', path, bodyText });
        return answer.results.map(batchResult);
      },
    });
  }
}

interface Keyed {
  readonly idempotencyKey: string;
}

function single(http: HttpClient, operation: AllocationOperation): Promise<AllocationInfo> {
  switch (operation.op) {
    case 'allocate': {
      const { op: _, idempotencyKey, ...input } = operation;
      return allocate(http, input, { idempotencyKey });
    }
    case 'renew':
      return renewAllocation(http, operation.id, operation.fencingToken, operation.leaseMs ?? LIMITS.leaseMsDefault);
    case 'release':
      return releaseAllocation(http, operation.id, operation.fencingToken, operation.result);
  }
}
