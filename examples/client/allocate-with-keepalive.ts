/**
 * Driving an agent oneself: the lease renews itself while the work goes on, and its signal stops the work when the hold is
 * lost. `node examples/client/allocate-with-keepalive.ts [pool]`
 */
import { FleetManager, NoCapacityError } from '@claude-flow/fleet-manager';
import { setTimeout as pause } from 'node:timers/promises';

const [pool = 'coder'] = process.argv.slice(2);
const fleet = new FleetManager();
try {
  const held = await fleet.allocateAgent(
    { pool, leaseMs: 5_000, waitMs: 10_000, metadata: { for: 'example' } },
    { keepAlive: true },
  );
  console.log(`holding ${held.agentId} in ${held.region}`);
  try {
    // Whatever talks to the agent gets the signal, and the fencing token so that late writes can be refused.
    await pause(2_000, undefined, { signal: held.signal });
    await held.release({ success: true, durationMs: 2_000 });
    console.log('released');
  } catch (error) {
    await held.release({ success: false, error: String(error) });
    throw error;
  }
} catch (error) {
  if (!(error instanceof NoCapacityError)) throw error;
  console.error(error.message, error.why?.failed ?? []);
  process.exitCode = 1;
}
await fleet.shutdown();
