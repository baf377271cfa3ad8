import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { resolve } from 'node:path';

const FILE = resolve(import.meta.dirname, '../../docs/benchmarks.md');

/** One table of a benchmark's result. */
export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly note?: string;
}

const markdown = (table: Table): string =>
  [
    `**${table.title}**`,
    '',
    `| ${table.columns.join(' | ')} |`,
    `|${table.columns.map(() => ' --- |').join('')}`,
    ...table.rows.map((row) => `| ${row.join(' | ')} |`),
    ...(table.note === undefined ? [] : ['', table.note]),
    '',
  ].join('\n');

export const show = (tables: readonly Table[]): void => console.log(`\n${tables.map(markdown).join('\n')}`);

/** Prints the tables and replaces this benchmark's section in docs/benchmarks.md. */
export function report(name: string, command: string, tables: readonly Table[]): void {
  const text = tables.map(markdown).join('\n');
  show(tables);
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  const where = `${os.availableParallelism()} cores, load ${os.loadavg()[0]?.toFixed(1) ?? '?'} at the end, Node ${process.version}`;
  const section = `<!-- ${name} -->\n## ${name}\n\n\`${command}\`, ${new Date().toISOString().slice(0, 10)}, at ${commit}; ${where}.\n\n${text}<!-- /${name} -->\n`;
  const old = existsSync(FILE) ? readFileSync(FILE, 'utf8') : HEAD;
  const pattern = new RegExp(`<!-- ${name} -->[\\s\\S]*<!-- /${name} -->\\n?`);
  writeFileSync(FILE, pattern.test(old) ? old.replace(pattern, () => section) : `${old.trimEnd()}\n\n${section}`);
}

const HEAD = `# Benchmarks

Written by \`npm run bench -- <name>\`, one section each; never edited by hand. The machine is shared and noisy: trust the
ratios inside one run, not the absolute figures, and the median before the tail.
`;
