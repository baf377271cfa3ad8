import type { AgentConfig, AgentFilter, AgentInput, AllocateInput, SubmitInput, TaskRequirements } from './types.ts';
import type { FleetManagerOptions } from './config.ts';
import type { Query } from './http.ts';

/** Region and residency for calls that name none. */
export type Defaults = Pick<FleetManagerOptions, 'region' | 'residency'>;

/** Our shape of a registration, from ours or the specification's; its `priority` is kept as metadata. */
export function agentInput(config: AgentConfig, defaults: Defaults): AgentInput {
  const region = config.region ?? defaults.region;
  if (!('type' in config)) return { ...config, ...(region === undefined ? {} : { region }) };
  const { type, priority, resources, ...rest } = config;
  return {
    ...rest,
    pool: type,
    ...(resources === undefined ? {} : { resources: { memoryMb: resources.memory, cpu: resources.cpu } }),
    ...(priority === undefined ? {} : { metadata: { ...config.metadata, priority } }),
    ...(region === undefined ? {} : { region }),
  };
}

/** Our shape of an allocation request, from ours or the specification's. */
export function allocateInput(requirements: TaskRequirements, defaults: Defaults): AllocateInput {
  if (!('poolType' in requirements)) return withPlacement(requirements, defaults);
  const { poolType, ...rest } = requirements;
  return withPlacement({ ...rest, pool: poolType }, defaults);
}

export const submitInput = <T extends SubmitInput>(task: T, defaults: Defaults): T => withPlacement(task, defaults);

export const agentQuery = (filter: AgentFilter): Query => ({
  pool: filter.pool ?? filter.type,
  status: filter.status,
  region: filter.region,
  capability: filter.capability,
});

function withPlacement<T extends AllocateInput | SubmitInput>(input: T, defaults: Defaults): T {
  const region = input.region ?? defaults.region;
  const residency = input.residency ?? defaults.residency;
  return { ...input, ...(region === undefined ? {} : { region }), ...(residency === undefined ? {} : { residency }) };
}
