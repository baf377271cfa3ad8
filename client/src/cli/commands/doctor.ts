import { Command } from 'commander';
import { contextOf, outputOf } from '../context.ts';
import { type Check, type Finding, checksOf } from '../doctor.ts';
import { OperationFailed } from '../errors.ts';
import { type Output, clean } from '../output.ts';

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('check what a client needs, and say how to mend what is wrong')
    .action(async (_: unknown, command: Command) => {
      const output = outputOf(command);
      const findings: Finding[] = [];
      for (const check of checksOf(() => contextOf(command))) {
        const finding = await run(check);
        findings.push(finding);
        if (output.format === 'table') output.line(lineOf(finding, output));
      }
      if (output.format === 'json') output.line(JSON.stringify(findings, null, 2));
      if (findings.some((finding) => finding.state === 'bad')) throw new OperationFailed('not well');
    });
}

async function run({ name, look }: Check): Promise<Finding> {
  try {
    return { name, ...(await look()) };
  } catch (error) {
    return { name, state: 'bad', detail: error instanceof Error ? error.message : String(error) };
  }
}

function lineOf({ name, state, detail, mend }: Finding, { colors }: Output): string {
  const mark = { ok: colors.green('ok  '), warn: colors.yellow('warn'), bad: colors.red('bad '), skipped: colors.dim('–   ') }[
    state
  ];
  const advice = mend === undefined ? '' : `\n                  ${colors.dim('→')} ${mend}`;
  return `${mark}  ${name.padEnd(10)}  ${clean(detail)}${advice}`;
}
