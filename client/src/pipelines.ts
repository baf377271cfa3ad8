import { LIMITS } from '../../shared/limits.ts';
import { registerAgent, registerAgents } from './api/agents.ts';
import { type AllocationOperation, allocate, allocationBatch, releaseAllocation, renewAllocation } from './api/allocations.ts';
import { submitTask, submitTasks } from './api/tasks.ts';
import type { CallOptions, HttpClient } from './http.ts';
import { Pipeline } from './pipeline.ts';
import type { AgentInput, AllocationInfo, RegisteredAgent, SubmitInput, Task } from './types.ts';

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

/** The hot operations; concurrent calls of each kind share requests. */
export class Pipelines {
  readonly #register: Pipeline<AgentInput, RegisteredAgent>;
  readonly #submit: Pipeline<SubmitInput, Task>;
  readonly #allocation: Pipeline<AllocationOperation, AllocationInfo>;

  constructor(http: HttpClient) {
    this.#register = new Pipeline({
      one: (input) => registerAgent(http, input),
      many: (inputs) => registerAgents(http, inputs),
      maxItems: LIMITS.agentBatch,
    });
    this.#submit = new Pipeline({
      one: (input) => submitTask(http, input),
      many: (inputs) => submitTasks(http, inputs),
      maxItems: LIMITS.taskBatch,
    });
    this.#allocation = new Pipeline({
      one: (operation) => single(http, operation),
      many: (operations) => allocationBatch(http, operations),
      maxItems: LIMITS.allocationBatch,
    });
  }

  register(input: AgentInput): Promise<RegisteredAgent> {
    return this.#register.run(input);
  }

  submit(input: SubmitInput): Promise<Task> {
    return this.#submit.run(input);
  }

  allocation(operation: AllocationOperation): Promise<AllocationInfo> {
    return this.#allocation.run(operation);
  }
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
