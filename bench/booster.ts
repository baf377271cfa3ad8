import { parseArgs } from 'node:util';
import { engines } from './booster/engines.ts';
import { throughTheFleet } from './booster/fleet.ts';
import { recovery } from './booster/recovery.ts';
import { report } from './lib/report.ts';

/**
 * The booster: its engine beside a floor and a peer, the way through a fleet, and recovery from real panics.
 * `--rounds 3 --samples 20`: how often each engine is measured. `--only engines|fleet|recovery`: one part, not written down.
 */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { rounds: { type: 'string', default: '3' }, samples: { type: 'string', default: '20' }, only: { type: 'string' } },
  });
  const parts = {
    engines: () => engines({ rounds: Number(values.rounds), samples: Number(values.samples) }),
    fleet: throughTheFleet,
    recovery: async () => [await recovery()],
  };
  const tables = [];
  for (const [name, part] of Object.entries(parts))
    if (values.only === undefined || values.only === name) tables.push(...(await part()));
  if (values.only === undefined) report('booster', ['npm run bench -- booster', ...args].join(' '), tables);
  else console.log(JSON.stringify(tables, null, 1));
}
