/**
 * `npm start`: the whole fleet on this machine, in one tree of processes that ends as one.
 * `PORT` (8787), `FLEET_STATE_DIR` (.fleet), `FLEET_REGIONS` (comma list, default all); and, as in `wrangler.toml`,
 * `LOG_LEVEL`, `CORS_ORIGINS`, `RATE_LIMIT_PER_SECOND`, `REGION_MAX_AGENTS`.
 */
import path from 'node:path';
import { parseRegionList, REGIONS } from '../regions/table.ts';
import { ROOT } from './checks.ts';
import { type LocalFleet, startLocalFleet } from './local/fleet.ts';
import { isAlive, packageManagerChain } from './local/processes.ts';
import { announce } from './local/state-dir.ts';

const PARENT_WATCH_MS = 200;
const PASSED_ON = ['LOG_LEVEL', 'CORS_ORIGINS', 'RATE_LIMIT_PER_SECOND', 'REGION_MAX_AGENTS'];

function refuse(message: string): never {
  process.stderr.write(`fleet: ${message}\n`);
  process.exit(1);
}

/** Ends everything: what the fleet holds is given back by its own exit handler, before this process is gone. */
function endOnSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(0));
  // Whoever read our output may be gone before we are.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
}

/**
 * A killed npm does not take its children along, so they look whether it still lives. Without a package manager nobody is
 * watched: a fleet started by hand may outlive its terminal if that is asked for.
 */
function endWithPackageManager(): void {
  const chain = packageManagerChain();
  const parent = process.ppid;
  if (chain.length === 0) return;
  const look = (): void => {
    if (process.ppid === parent && chain.every(isAlive)) return;
    process.stderr.write('fleet: the package manager that started it is gone; stopping\n');
    process.exit(0);
  };
  setInterval(look, PARENT_WATCH_MS).unref();
}

function banner(fleet: LocalFleet): string {
  const { url, state, regions, adminToken } = fleet;
  return `
  Fleet Manager, local

  API        ${url}/v1
  Reference  ${url}/docs
  Metrics    ${url}/metrics
  Regions    ${regions.join(', ')}
  State      ${state.root}
  Token      ${state.adminToken}

  ${adminToken}

  Next, in another terminal, an agent and a task for it:

    npx fleet agent --pool coder -- wc -l
    npx fleet submit coder --payload hello --wait

  Stop with Ctrl-C.
`;
}

endOnSignals();
endWithPackageManager();

const port = Number(process.env['PORT'] || '8787');
if (!Number.isInteger(port) || port < 0 || port > 65_535) refuse(`PORT must be a port number, not '${process.env['PORT']}'.`);
const regions = parseRegionList(process.env['FLEET_REGIONS'] || REGIONS.map((region) => region.id).join(','));
if (!regions.ok) refuse(`FLEET_REGIONS: ${regions.error.detail}`);

try {
  const fleet = await startLocalFleet({
    port,
    stateDir: path.resolve(ROOT, process.env['FLEET_STATE_DIR'] || '.fleet'),
    regions: regions.value,
    vars: Object.fromEntries(PASSED_ON.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]))),
    onFailure: () => process.exit(1),
  });
  const withdraw = announce(fleet.url, fleet.state);
  process.once('exit', withdraw);
  process.stdout.write(`${banner(fleet)}\nready ${fleet.url}\n`);
} catch (error) {
  refuse(error instanceof Error ? error.message : String(error));
}
