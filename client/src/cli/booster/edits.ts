import { Command, Option } from 'commander';
import { EDIT_STYLES } from '../../../../shared/booster.ts';
import type { AgentBooster } from '../../booster/agent-booster.ts';
import type { BoosterTaskRequest } from '../../booster/types.ts';
import { OperationFailed, UsageError } from '../errors.ts';
import { list } from '../parse.ts';
import { codeFiles, readCode, replaceCode } from './files.ts';
import { type BoosterOptions, boosterOf, withBooster } from './options.ts';
import { doneOr, madeByText, refusalText } from './results.ts';
import type { Output } from '../output.ts';

interface EditOptions extends BoosterOptions {
  readonly dryRun?: boolean;
}

const withDryRun = (command: Command): Command => withBooster(command.option('--dry-run', 'print the difference, write nothing'));

/** Commands that change files. Each change is written whole or not at all. */
export const editCommands = (): Command[] => [applyCommand(), rewriteCommand(), renameCommand(), importsCommand()];

const applyCommand = (): Command =>
  withDryRun(
    new Command('apply')
      .description('merge an edit into a file: a lazy snippet, whole definitions, SEARCH/REPLACE blocks, a diff, a whole file')
      .argument('<file>')
      .argument('<edit>', 'file with the edit; - for standard input')
      .addOption(new Option('--style <style>', 'how the edit is written; found out by itself').choices([...EDIT_STYLES]))
      .option('--instruction <text>', 'what it is for, for an agent that may take over'),
  ).action(
    async (file: string, edit: string, options: EditOptions & { style?: 'lazy'; instruction?: string }, command: Command) => {
      if (file === '-') throw new UsageError('apply writes its file, so it must be one.');
      await change(command, options, file, async (original) => ({
        operation: 'apply',
        original,
        edit: await readCode(edit),
        ...(options.style === undefined ? {} : { style: options.style }),
        ...(options.instruction === undefined ? {} : { instruction: options.instruction }),
      }));
    },
  );

const rewriteCommand = (): Command =>
  withDryRun(
    new Command('rewrite')
      .description('replace every place that has the structure of a pattern, such as foo($A) by bar($A)')
      .argument('<pattern>')
      .argument('<replacement>')
      .argument('<paths...>', 'files and directories'),
  ).action(async (pattern: string, rewrite: string, paths: string[], options: EditOptions, command: Command) => {
    const { booster, output } = boosterOf(command, options);
    let failed = 0;
    let changed = 0;
    for (const file of await codeFiles(paths)) {
      const original = await readCode(file);
      const result = await booster.executeTask({
        operation: 'rewrite',
        path: file,
        original,
        pattern,
        rewrite,
        ...options.named,
      });
      if (result.ok) {
        if (result.output !== original) changed += 1;
        await write(booster, output, options, { file, original, after: String(result.output) });
      } else if (result.reason !== 'not_found') {
        failed += 1;
        if (result.taskId === undefined) output.note(refusalText(result, output, file));
      }
    }
    output.note(`${changed} ${changed === 1 ? 'file' : 'files'} ${options.dryRun === true ? 'would change' : 'changed'}`);
    if (failed > 0) throw new OperationFailed(`${failed} files`);
  });

const renameCommand = (): Command =>
  withDryRun(
    new Command('rename')
      .description('rename a symbol in its scope; refuses when it is not sure')
      .argument('<file>')
      .argument('<symbol>')
      .argument('<new-name>')
      .option('--at <line:column>', 'one of its places, where several have the name'),
  ).action(async (file: string, symbol: string, rewrite: string, options: EditOptions & { at?: string }, command: Command) => {
    const position = options.at === undefined ? {} : { position: placeOf(options.at) };
    await change(command, options, file, async (original) => ({ operation: 'rename', original, symbol, rewrite, ...position }));
  });

const importsCommand = (): Command =>
  withDryRun(
    new Command('imports')
      .description('add, remove, sort and dedupe the imports of a file')
      .argument('<file>')
      .option('--add <statement>', 'as the language writes it; repeatable', (one: string, all?: string[]) => [
        ...(all ?? []),
        one,
      ])
      .option('--remove <name>', 'an imported name or module; repeatable', list)
      .option('--sort', 'in the usual order')
      .option('--dedupe', 'merge what is there twice'),
  ).action(
    async (
      file: string,
      options: EditOptions & { add?: string[]; remove?: string[]; sort?: boolean; dedupe?: boolean },
      command: Command,
    ) => {
      const { add, remove, sort, dedupe } = options;
      if (add === undefined && remove === undefined && sort === undefined && dedupe === undefined)
        throw new UsageError('Give at least one of --add, --remove, --sort and --dedupe.');
      const imports = { add, remove, sort, dedupe };
      await change(command, options, file, async (original) => ({ operation: 'imports', original, imports }));
    },
  );

function placeOf(text: string): { readonly line: number; readonly column: number } {
  const match = /^([1-9]\d{0,8}):([1-9]\d{0,8})$/.exec(text);
  if (match === null) throw new UsageError('Write --at as line:column, both from 1.');
  return { line: Number(match[1]), column: Number(match[2]) };
}

/** Runs one operation on one file and writes what came of it. */
async function change(
  command: Command,
  options: EditOptions,
  file: string,
  request: (original: string) => Promise<BoosterTaskRequest>,
): Promise<void> {
  const { booster, output } = boosterOf(command, options);
  const original = await readCode(file);
  const result = await booster.executeTask({ path: file, ...(await request(original)), ...options.named });
  const done = doneOr(result, output, file);
  if (typeof done.output !== 'string') throw new UsageError(`${file}: what came back is no file.`);
  await write(booster, output, options, { file, original, after: done.output });
  output.note(output.colors.dim(madeByText(done)));
}

async function write(
  booster: AgentBooster,
  output: Output,
  { dryRun = false }: EditOptions,
  { file, original, after }: { readonly file: string; readonly original: string; readonly after: string },
): Promise<void> {
  if (after === original) return output.note(`${file}: nothing to change`);
  if (!dryRun) {
    await replaceCode(file, original, after);
    return output.show({ file, changed: true }, () => file);
  }
  const diff = await booster.executeTask({ operation: 'diff', path: file, original, edit: after });
  output.line(String(doneOr(diff, output, file).output));
}
