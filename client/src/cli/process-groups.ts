import { type ChildProcess, spawn } from 'node:child_process';

/**
 * Reads `+ pid` and `- pid` lines until its input ends, which it does when this process is gone, however it went. Then
 * ends the groups that are left.
 */
const WATCHDOG = `
groups=
while read -r op group; do
  case $op in
    +) groups="$groups $group" ;;
    -) left=; for g in $groups; do [ "$g" = "$group" ] || left="$left $g"; done; groups=$left ;;
  esac
done
[ -n "$groups" ] || exit 0
for g in $groups; do kill -s TERM -- "-$g" 2>/dev/null; done
sleep 2
for g in $groups; do kill -s KILL -- "-$g" 2>/dev/null; done
`;

/** Process groups of running commands. None outlives this process, not even when it is killed with -9: by then another agent does their work. */
export class ProcessGroups {
  readonly #groups = new Set<number>();
  #watchdog: ChildProcess | null = null;

  constructor() {
    process.on('exit', () => {
      for (const group of this.#groups) this.signal(group, 'SIGKILL');
    });
  }

  /** Starts the watchdog ahead of the first command: started with it, it could come too late. */
  watch(): void {
    this.#watchdog ??= startWatchdog();
  }

  add(group: number): void {
    this.#groups.add(group);
    this.#tell(`+ ${group}\n`);
  }

  delete(group: number): void {
    this.#groups.delete(group);
    this.#tell(`- ${group}\n`);
  }

  /** Signals all of a group; that nobody is left to hear it is no error. */
  signal(group: number, signal: NodeJS.Signals): void {
    try {
      process.kill(-group, signal);
    } catch {
      // Gone already.
    }
  }

  #tell(line: string): void {
    this.watch();
    this.#watchdog?.stdin?.write(line);
  }
}

function startWatchdog(): ChildProcess {
  // A session of its own: the terminal's Ctrl-C is for the agent, which ends its commands in order.
  const watchdog = spawn('sh', ['-c', WATCHDOG], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  watchdog.on('error', () => undefined);
  watchdog.stdin.on('error', () => undefined);
  watchdog.unref();
  // The pipe must not keep a finished agent alive.
  if ('unref' in watchdog.stdin && typeof watchdog.stdin.unref === 'function') watchdog.stdin.unref();
  return watchdog;
}
