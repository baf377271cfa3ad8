import type { Command } from './commands.ts';
import type { Run } from './run.ts';

const command =
  (type: Command) =>
  (run: Run): void =>
    run.command(type);

/** Everything that happens of itself, by name. */
export const OPERATIONS = {
  registerAgent: command('registerAgent'),
  deregisterAgent: command('deregisterAgent'),
  drainAgent: command('drainAgent'),
  quarantineAgent: command('quarantineAgent'),
  heartbeat: command('heartbeat'),
  allocate: command('allocate'),
  renew: command('renew'),
  release: command('release'),
  submitTask: command('submitTask'),
  cancelTask: command('cancelTask'),
  replayTask: command('replayTask'),
  completeTask: command('completeTask'),
  failTask: command('failTask'),
  progressTask: command('progressTask'),
  revokeLeases: command('revokeLeases'),
  acknowledgeRevocation: command('acknowledgeRevocation'),
  batch: (run: Run) => run.together(['allocate', 'release', 'submitTask', 'registerAgent', 'renew']),
  group: (run: Run) =>
    run.together(['allocate', 'release', 'submitTask', 'heartbeat', 'completeTask', 'failTask', 'cancelTask', 'drainAgent']),
  late: (run: Run) => run.deliverLate(),
  open: (run: Run) => run.openSession(),
  close: (run: Run) => run.closeSession(),
  freeze: (run: Run) => run.freeze(),
  poll: (run: Run) => run.poll(),
  endPoll: (run: Run) => run.endPoll(),
  withdraw: (run: Run) => run.withdraw(),
  tick: (run: Run) => run.pass(run.world.random.pick([0, 1, 500, 2_000])),
  wait: (run: Run) => run.pass(run.world.random.pick([4_000, 5_000, 7_500, 9_000, 14_000, 15_000, 16_000])),
  waitLong: (run: Run) => run.pass(run.world.random.pick([31_000, 61_000, 300_000, 3_600_000])),
  jumpForward: (run: Run) => run.pass(3_600_000),
  jumpBack: (run: Run) => run.pass(-3_600_000),
  toAlarm: (run: Run) => run.toAlarm(),
  alarm: (run: Run) => run.alarm(),
  look: (run: Run) => run.look(),
  crash: (run: Run) => run.crash(),
  hibernate: (run: Run) => run.hibernate(),
  configure: (run: Run) => run.configure(),
  forgetKeys: (run: Run) => run.forgetKeys(),
  remoteEnds: (run: Run) => run.remoteEnds(run.world.random.pick(['succeeded', 'failed', 'missing'] as const)),
} satisfies Record<string, (run: Run) => void>;

type Weights = Readonly<Record<Exclude<keyof typeof OPERATIONS, Later>, number>>;
type Later = 'revokeLeases' | 'acknowledgeRevocation';

/** How often, over all seeds. */
export const FIRST_WEIGHTS: Weights = {
  registerAgent: 5,
  deregisterAgent: 1,
  drainAgent: 0.7,
  quarantineAgent: 0.3,
  heartbeat: 4,
  allocate: 9,
  renew: 4,
  release: 6,
  submitTask: 9,
  cancelTask: 1.5,
  replayTask: 0.7,
  completeTask: 6,
  failTask: 3,
  progressTask: 5,
  batch: 2,
  group: 3,
  late: 5,
  open: 6,
  close: 3,
  freeze: 1,
  poll: 5,
  endPoll: 1.5,
  withdraw: 1,
  tick: 8,
  wait: 3,
  waitLong: 0.4,
  jumpForward: 0.2,
  jumpBack: 0.2,
  toAlarm: 7,
  alarm: 1,
  look: 1.5,
  crash: 0.7,
  hibernate: 2,
  configure: 0.5,
  forgetKeys: 0.3,
  remoteEnds: 0.5,
};

/** With what came later. */
export const WEIGHTS: Weights & Readonly<Record<Later, number>> = { ...FIRST_WEIGHTS, revokeLeases: 2, acknowledgeRevocation: 1 };
