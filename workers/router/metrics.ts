import type { BoosterStatus } from '../../shared/schemas/booster.ts';
import type { FleetStatus } from '../../shared/schemas/fleet.ts';
import { AGENT_STATUSES } from '../../shared/schemas/agents.ts';
import { TASK_STATUSES } from '../../shared/schemas/tasks.ts';

/** The fleet's counters in Prometheus' text format 0.0.4. Label values are names of ours, so nothing in them needs escaping. */
export function prometheusText(status: FleetStatus, boosters: readonly BoosterStatus[] = []): string {
  const lines: string[] = [];
  const metric = (name: string, help: string, type: 'gauge' | 'counter' = 'gauge'): void =>
    void lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
  const sample = (name: string, labels: Readonly<Record<string, string>>, value: number): void => {
    const text = Object.entries({ fleet: status.fleet, ...labels })
      .map(([key, label]) => `${key}="${label}"`)
      .join(',');
    lines.push(`${name}{${text}} ${value}`);
  };

  metric('fleet_agents', 'Agents by region, pool and status.');
  for (const pool of status.pools) {
    for (const state of AGENT_STATUSES)
      sample('fleet_agents', { region: pool.region, pool: pool.pool, status: state }, pool[state]);
  }
  metric('fleet_tasks', 'Tasks by region and status.');
  for (const [region, block] of Object.entries(status.regions)) {
    for (const state of TASK_STATUSES) sample('fleet_tasks', { region, status: state }, block.tasks[state]);
  }
  for (const [name, help, field] of [
    ['fleet_pool_queued', 'Tasks and allocations waiting in a pool.', 'queued'],
    ['fleet_pool_min_agents', 'Configured minimum of a pool.', 'minAgents'],
    ['fleet_pool_max_agents', 'Configured maximum of a pool.', 'maxAgents'],
    ['fleet_pool_desired_agents', 'Agents a pool should have.', 'desired'],
  ] as const) {
    metric(name, help);
    for (const pool of status.pools) sample(name, { region: pool.region, pool: pool.pool }, pool[field]);
  }
  metric('fleet_region_up', 'Whether the region answered.');
  for (const [region, block] of Object.entries(status.regions)) sample('fleet_region_up', { region }, block.fresh ? 1 : 0);
  if (boosters.length > 0) boosterLines(boosters, metric, sample);
  return `${lines.join('\n')}\n`;
}

/** Counters begin anew with each isolate, as those of any restarted process do. */
function boosterLines(
  boosters: readonly BoosterStatus[],
  metric: (name: string, help: string, type?: 'gauge' | 'counter') => void,
  sample: (name: string, labels: Readonly<Record<string, string>>, value: number) => void,
): void {
  metric('fleet_booster_slots', 'Booster slots that a region reaches, by state.');
  for (const { region, slots } of boosters) {
    sample('fleet_booster_slots', { region, state: 'busy' }, slots.busy);
    sample('fleet_booster_slots', { region, state: 'idle' }, slots.started - slots.busy);
    sample('fleet_booster_slots', { region, state: 'unstarted' }, slots.max - slots.started);
  }
  for (const [name, help, field] of [
    ['fleet_booster_operations', 'Booster operations of the fleet.', 'operations'],
    ['fleet_booster_done', 'Booster operations that were done.', 'done'],
    ['fleet_booster_panics', 'Booster instances that failed under an operation of the fleet.', 'panics'],
    ['fleet_booster_recycled', 'Booster instances replaced after an operation of the fleet.', 'recycled'],
  ] as const) {
    metric(name, help, 'counter');
    for (const booster of boosters) sample(name, { region: booster.region }, booster[field]);
  }
  metric('fleet_booster_refusals', 'Booster operations that were refused, by reason.', 'counter');
  for (const { region, refused } of boosters)
    for (const [reason, count] of Object.entries(refused))
      sample('fleet_booster_refusals', { region, reason: reason.replaceAll('_', '-') }, count);
}
