/**
 * The whole round: an agent, a task, an allocation. With a fleet running (`npm start`): `node examples/client/quickstart.ts`
 */
import { FleetManager, runAgent } from '@claude-flow/fleet-manager';

const fleet = new FleetManager(); // the local fleet; elsewhere { endpoint, token }
await fleet.initialize();

// This process is an agent, too: it reviews what it is given until it is stopped.
const agent = runAgent({
  fleet,
  pool: 'reviewer',
  capabilities: ['typescript'],
  handler: (task) => ({ lines: String(task.payload).split('\n').length }),
});
const { id, region } = await agent.ready;
console.log(`agent ${id} in ${region}`);

// Give the pool a task and wait for its result.
const result = await fleet.runTask({ pool: 'reviewer', payload: 'const a = 1;\nconst b = 2;', capabilities: ['typescript'] });
console.log('result', result);

// Or hold an agent for work you drive yourself: a fenced lease, given back when the block ends.
{
  const held = await fleet.allocateAgent({ pool: 'reviewer', region });
  console.log(`holding ${held.agentId} with fencing token ${held.fencingToken}`);
  await held.release({ success: true });
}

const status = await fleet.getFleetStatus();
console.log(`${status.agents.total} agents, ${status.tasks.succeeded} tasks done`);
await agent.stop();
await fleet.shutdown();
