import { isatty } from 'node:tty';
import Table from 'cli-table3';
import pc from 'picocolors';
import { ApiError, type FleetError } from '../errors.ts';
import type { Why } from '../types.ts';

export type Format = 'table' | 'json';
export type Colors = ReturnType<typeof pc.createColors>;

/** No lines, two spaces between columns: quiet on screen and easy to cut in a pipe. */
const BARE = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};

/** Data goes to standard output, everything said about it to standard error. */
export class Output {
  readonly format: Format;
  readonly colors: Colors;

  constructor(format: Format, wantsColor = true) {
    const { NO_COLOR, TERM } = process.env;
    this.format = format;
    // The library's own guess counts a CI as a terminal.
    this.colors = pc.createColors(wantsColor && isatty(1) && (NO_COLOR ?? '') === '' && TERM !== 'dumb');
  }

  /** The value as JSON, or what `render` makes of it for a reader. */
  show(value: unknown, render: () => string): void {
    this.line(this.format === 'json' ? JSON.stringify(value, null, 2) : render());
  }

  line(text: string): void {
    process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
  }

  /** A remark for whoever sits before the screen. */
  note(text: string): void {
    if (this.format === 'table') process.stderr.write(`${text}\n`);
  }

  warn(text: string): void {
    process.stderr.write(`${this.colors.yellow('warning')} ${text}\n`);
  }

  table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
    const table = new Table({
      head: head.map((name) => this.colors.dim(name)),
      chars: BARE,
      style: { head: [], border: [], compact: true, 'padding-left': 0, 'padding-right': 0 },
    });
    for (const row of rows)
      table.push(row.map((cell) => (typeof cell === 'number' ? { content: String(cell), hAlign: 'right' as const } : cell)));
    return table
      .toString()
      .split('\n')
      .map((line) => line.trimEnd())
      .join('\n');
  }

  /** Names and values below each other; what is not there is left out. */
  fields(entries: readonly (readonly [name: string, value: unknown])[]): string {
    const present = entries.filter(([, value]) => value !== undefined);
    const width = Math.max(0, ...present.map(([name]) => name.length));
    return present.map(([name, value]) => `${this.colors.dim(name.padEnd(width))}  ${plain(value)}`).join('\n');
  }

  /** Says on standard error what went wrong, with what support will ask for. */
  failure(error: FleetError): void {
    const { bold, dim, red } = this.colors;
    if (this.format === 'json') {
      const problem = error instanceof ApiError ? error.problem : { code: error.name, detail: error.message };
      process.stderr.write(`${JSON.stringify(problem, null, 2)}\n`);
      return;
    }
    const lines = [`${bold(red('error'))} ${clean(error.message)}`];
    if (error instanceof ApiError) {
      for (const { path, message } of error.problem.errors ?? []) lines.push(`  ${clean(path)}: ${clean(message)}`);
      const { why } = error.problem;
      if (why !== undefined)
        lines.push(
          ...whyLines(why)
            .filter((line) => line !== clean(error.message))
            .map((line) => `  ${line}`),
        );
      lines.push(dim(`  code ${clean(error.code)}, status ${error.status}, request ${clean(error.requestId) || 'unknown'}`));
    }
    process.stderr.write(`${lines.join('\n')}\n`);
  }
}

/** Text of others on our screen: control characters would let it rewrite what stands there. */
export function clean(text: string): string {
  // oxlint-disable-next-line no-control-regex -- removing them is the point
  return text.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\u{fffd}');
}

const plain = (value: unknown): string => clean(typeof value === 'string' ? value : JSON.stringify(value));

/** An explanation in few lines, for the end of an error message. */
export function whyLines(why: Why): string[] {
  return [
    clean(why.detail),
    agentsText(why),
    ...why.failed.map(({ predicate, agents }) => `${agents} fail ${clean(predicate)}`),
    ...(why.limitedBy === undefined ? [] : [`limited by ${limitText(why.limitedBy)}`]),
  ];
}

export function agentsText({ agents, eligible, needed, matching, fitting }: Why): string {
  const found = [
    [agents, 'in the pool'],
    [matching, 'with what is asked for'],
    [fitting, 'ready for it'],
    [eligible, 'free for it'],
    [needed, 'needed'],
  ] as const;
  return found.flatMap(([n, what]) => (n === undefined ? [] : [`${n} ${what}`])).join(', ');
}

export const limitText = ({ scope, limit, inUse }: NonNullable<Why['limitedBy']>): string =>
  `${clean(scope)} (${inUse === undefined ? '' : `${inUse} of `}${limit})`;

/** How long ago, in one unit. */
export function ago(atMs: number, nowMs: number): string {
  const seconds = Math.max(0, Math.round((nowMs - atMs) / 1_000));
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}
