import type { Task } from '../../client/src/types.ts';
import type { Findings } from './findings.ts';
import type { Plan } from './plan.ts';
import { type Terminal, bytes, plural, seconds } from './terminal.ts';
import type { Verdict } from './verify.ts';

/** How one pool or region did. */
export interface Share {
  readonly name: string;
  readonly agents: number;
  readonly tasks: number;
  /** From the start of the successful attempt to its end. */
  readonly meanMs: number;
}

/** All that `--json` prints. */
export interface Summary {
  readonly ok: boolean;
  readonly directory: string;
  readonly fleet: { readonly endpoint: string; readonly origin: string };
  readonly files: { readonly analysed: number; readonly bytes: number; readonly skipped: Readonly<Record<string, number>> };
  readonly agents: { readonly processes: number; readonly commands: number; readonly poolsRaised: number };
  readonly tasks: Omit<Verdict, 'problems'>;
  readonly byRegion: readonly Share[];
  readonly byPool: readonly Share[];
  readonly killed: {
    readonly pid: number;
    readonly signal: 'SIGKILL';
    readonly agentId: string;
    readonly pool: string;
    readonly region: string;
    readonly taskId: string;
    readonly path: string;
  };
  readonly recovered: {
    readonly taskId: string;
    readonly path: string;
    readonly attempts: number;
    readonly agentId: string;
    readonly restartedAfterMs: number;
    readonly completedAfterMs: number;
  } | null;
  /** What was not real work. */
  readonly simulated: { readonly taskId: string; readonly pauseMs: number };
  readonly findings: Findings;
  readonly problems: readonly string[];
  readonly timings: { readonly agentsReadyMs: number; readonly tasksMs: number; readonly totalMs: number };
  /** Where ledgers and logs are, with `--keep`. */
  readonly kept: string | null;
}

export function sharesOf(tasks: readonly Task[], plan: Plan, by: 'region' | 'pool'): readonly Share[] {
  const nameOf = (agent: Plan['agents'][number]): string => (by === 'region' ? agent.lane.region : agent.lane.work.pool);
  return [...new Set(plan.agents.map(nameOf))].map((name) => {
    const mine = tasks.filter((task) => task[by] === name && task.status === 'succeeded');
    const workMs = mine.reduce((total, task) => total + (task.completedAtMs ?? 0) - (task.startedAtMs ?? 0), 0);
    return {
      name,
      agents: plan.agents.filter((agent) => nameOf(agent) === name).length,
      tasks: mine.length,
      meanMs: mine.length === 0 ? 0 : Math.round(workMs / mine.length),
    };
  });
}

/** Tells a reader what the summary holds. */
export function printSummary(summary: Summary, ui: Terminal): void {
  const { findings, tasks, killed, recovered, timings } = summary;
  const { bold, green, red, dim } = ui.colors;
  printFindings(findings, ui);
  const shares = (rows: readonly Share[]): (string | number)[][] =>
    rows.map(({ name, agents, tasks: done, meanMs }) => [name, agents, done, `${meanMs} ms`]);
  ui.table('By region', ['region', 'agents', 'tasks', 'mean'], shares(summary.byRegion));
  ui.table('By pool', ['pool', 'agents', 'tasks', 'mean'], shares(summary.byPool));

  ui.line(`\n${bold('Recovery')}`);
  ui.fact('killed', `process ${killed.pid} with SIGKILL: agent ${killed.agentId}`);
  ui.fact('its task', `${killed.taskId} ${dim(killed.path)}`);
  if (recovered === null) ui.fact('recovered', red('no'));
  else {
    ui.fact('recovered', `by ${recovered.agentId} as attempt ${recovered.attempts}`);
    ui.fact(
      'took',
      `${seconds(recovered.restartedAfterMs)} from the kill to its next start, ${seconds(recovered.completedAfterMs)} to its end`,
    );
    ui.fact(
      'simulated',
      `that one task paused for ${seconds(summary.simulated.pauseMs)} after its analysis, so that it could be interrupted`,
    );
  }

  ui.line(`\n${bold('Exactly once')}`);
  ui.fact(
    'fleet',
    `${tasks.succeeded} of ${plural(tasks.submitted, 'task')} succeeded by its record, each result with the digest of its file`,
  );
  ui.fact('agents', `${tasks.acknowledgedOnce} acknowledged exactly once by their own ledgers`);
  ui.fact('lost', String(tasks.lost.length));
  ui.fact('done twice', String(tasks.twice.length));
  const rate = Math.round((tasks.submitted * 1_000) / Math.max(1, timings.tasksMs));
  ui.fact('time', `${seconds(timings.tasksMs)} for the tasks (${rate} per second), ${seconds(timings.totalMs)} in all`);
  if (summary.kept !== null) ui.fact('kept', summary.kept);
  for (const problem of summary.problems.slice(0, 20)) ui.line(`  ${red('problem')} ${problem}`);
  if (summary.problems.length > 20) ui.line(`  ${red('problem')} and ${summary.problems.length - 20} more`);
  ui.line(`\n${summary.ok ? green('Every task was done exactly once.') : red('Not every task was done exactly once.')}`);
}

function printFindings(findings: Findings, ui: Terminal): void {
  const { lines, notChecked, filesChecked, syntaxErrors } = findings;
  ui.table(
    'Largest files',
    ['file', 'lines', 'size'],
    findings.largest.map((file) => [file.path, file.lines, bytes(file.bytes)]),
  );
  ui.table(
    'Most branches',
    ['file', 'branches', 'nesting'],
    findings.mostComplex.map((file) => [file.path, file.branches, file.maxNesting]),
  );
  ui.table(
    'Longest functions',
    ['function', 'lines', 'where'],
    findings.longestFunctions.map((f) => [f.name, f.lines, `${f.path}:${f.line}`]),
  );
  ui.table(
    'Most duplicate lines',
    ['file', 'lines', 'longest block'],
    findings.duplicates.map(({ path, duplicateLines, longest }) => [
      path,
      duplicateLines,
      `${longest.lines} lines: ${longest.firstLine} again at ${longest.againLine}`,
    ]),
  );
  ui.table(
    'Most imported packages',
    ['package', 'files'],
    findings.packages.map(({ name, files }) => [name, files]),
  );
  ui.table(
    'Syntax errors',
    ['where', 'error'],
    syntaxErrors.map((e) => [`${e.path}:${e.line}:${e.column}`, e.message]),
  );
  const unchecked = Object.entries(notChecked).map(([language, files]) => `${files} ${language}`);
  ui.line(`\n${ui.colors.bold('In all')}`);
  ui.fact('lines', `${lines.total}: ${lines.code} code, ${lines.comment} comment, ${lines.blank} blank`);
  ui.fact(
    'syntax',
    `${plural(filesChecked, 'file')} parsed, ${syntaxErrors.length === 0 ? 'no errors' : plural(syntaxErrors.length, 'error')}`,
  );
  if (unchecked.length > 0) ui.fact('unchecked', `no parser here for ${unchecked.join(', ')}`);
}
