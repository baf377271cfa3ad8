import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { ROOT } from '../checks.ts';
import { type StateDir, writePrivately } from './state-dir.ts';

/*
 * The runtime outlives a parent that is killed outright: it would keep the port and go on answering, and the next start
 * would fail. Two small shell programs prevent that. They are shell because they must cost nothing at start, and must not
 * share the fate of the Node process they watch.
 */

/** Writes down its number, then becomes the runtime. So the number is known before the runtime can hold a port. */
const launcher = (workerd: string): string => `#!/bin/sh
# A terminal sends Ctrl-C to everybody; the runtime is ended by its parent, in order.
trap '' INT
[ -n "$FLEET_WORKERD_PID_FILE" ] && echo $$ > "$FLEET_WORKERD_PID_FILE"
exec '${workerd.replaceAll("'", String.raw`'\''`)}' "$@"
`;

/**
 * Sleeps until its input ends, which happens when the parent is gone in any way; then ends the runtime. It looks for two
 * seconds, because a parent killed in the middle of a start may leave a launcher that is about to write its number. Once
 * the lock is gone (a clean stop) or another fleet's (whose start ended orphans itself) there is nothing to do.
 */
const WATCHDOG = `
trap '' INT TERM HUP
while read -r line; do :; done
for i in 1 2 3 4 5 6 7 8 9 10; do
  grep -qF "$3" "$2" 2>/dev/null || break
  pid=$(cat "$1" 2>/dev/null)
  if [ -n "$pid" ] && kill -9 "$pid" 2>/dev/null; then rm -f "$1"; break; fi
  sleep 0.2
done
`;

/** Environment for the runtime, so that the launcher writes its number to `pidFile`. */
export const launcherEnvironment = (pidFile: string): Readonly<Record<string, string>> => ({ FLEET_WORKERD_PID_FILE: pidFile });

/** Makes the launcher and lets Miniflare start the runtime through it. */
export function installLauncher(): void {
  const file = path.join(ROOT, '.build/local/workerd.sh');
  if (process.env['MINIFLARE_WORKERD_PATH'] === file) return;
  // The runtime belongs to Miniflare, so it is looked up from there: a second copy of another version must not be found.
  const fromMiniflare = createRequire(createRequire(import.meta.url).resolve('miniflare'));
  const found: { readonly default: string } = fromMiniflare('workerd');
  mkdirSync(path.dirname(file), { recursive: true });
  writePrivately(file, launcher(process.env['MINIFLARE_WORKERD_PATH'] ?? found.default));
  chmodSync(file, 0o755);
  process.env['MINIFLARE_WORKERD_PATH'] = file;
}

/**
 * Starts the watchdog. It is detached, so that what is sent to our process group does not reach it. `dismiss` ends it
 * without harm: the file with the runtime's number must be gone by then.
 */
export function startWatchdog(dir: StateDir, lockId: string): { dismiss(): void } {
  const child: ChildProcess = spawn('/bin/sh', ['-c', WATCHDOG, 'fleet-watchdog', dir.workerdPid, dir.lock, lockId], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    cwd: '/',
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
  });
  child.on('error', (error) =>
    process.stderr.write(`fleet: no watchdog (${error.message}); a kill -9 may leave the runtime behind\n`),
  );
  child.unref();
  return { dismiss: () => child.stdin?.destroy() };
}
