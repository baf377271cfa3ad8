import { Command } from 'commander';
import type { BoosterTaskRequest } from '../../booster/types.ts';
import { OperationFailed } from '../errors.ts';
import { clean, type Output } from '../output.ts';
import { codeFiles, readCode } from './files.ts';
import { type BoosterOptions, boosterOf, withBooster } from './options.ts';
import { doneOr, refusalText } from './results.ts';

/** Commands that only look. */
export const readCommands = (): Command[] => [
  checkCommand(),
  searchCommand(),
  fileCommand('outline', 'what a file declares', (output) => outlineLines(output).join('\n')),
  fileCommand('metrics', 'size, nesting and complexity of a file', (output) => JSON.stringify(output, null, 2)),
  queryCommand(),
  diffCommand(),
  scaffoldCommand(),
];

interface Place {
  readonly line?: number;
  readonly column?: number;
}
/** Positions come as `start: {line, column}` or as members; a reader wants `line:column`. */
function placeOf(value: unknown): string {
  const of = (value ?? {}) as Place & { readonly start?: Place };
  const { line, column } = of.start ?? of;
  return line === undefined ? '' : `${line}:${column ?? 1}`;
}

const checkCommand = (): Command =>
  withBooster(
    new Command('check').description('syntax errors of files and directories; exits 1 when there are any').argument('<paths...>'),
  ).action(async (paths: string[], options: BoosterOptions, command: Command) => {
    const { booster, output } = boosterOf(command, options);
    const files = await codeFiles(paths);
    const requests = await Promise.all(
      files.map(async (path): Promise<BoosterTaskRequest> => ({
        operation: 'check',
        path,
        original: await readCode(path),
        ...options.named,
      })),
    );
    const results = await booster.executeTasks(requests);
    const checked: { file: string; errors: readonly unknown[] }[] = [];
    let unread = 0;
    for (const [i, file] of files.entries()) {
      const result = results[i];
      if (result?.ok !== true) throw result?.error ?? new OperationFailed(file);
      if (result.value.ok) {
        const { errors = [] } = result.value.output as { readonly errors?: readonly unknown[] };
        checked.push({ file, errors });
      } else if (result.value.taskId === undefined) {
        unread += 1;
        output.note(refusalText(result.value, output, file));
      }
    }
    const bad = checked.filter(({ errors }) => errors.length > 0);
    output.show(checked, () => bad.flatMap(({ file, errors }) => errors.map((error) => errorLine(file, error))).join('\n'));
    output.note(`${files.length} files, ${bad.length} with errors${unread === 0 ? '' : `, ${unread} not checked`}`);
    if (bad.length > 0 || unread > 0) throw new OperationFailed(`${bad.length + unread} files`);
  });

const errorLine = (file: string, error: unknown): string =>
  `${file}:${placeOf(error)} ${clean((error as { readonly message?: string }).message ?? 'error')}`;

const searchCommand = (): Command =>
  withBooster(
    new Command('search')
      .description('every place that has the structure of a pattern, such as foo($A, $$$REST)')
      .argument('<pattern>')
      .argument('<paths...>'),
  ).action(async (pattern: string, paths: string[], options: BoosterOptions, command: Command) => {
    const { booster, output } = boosterOf(command, options);
    const found: { file: string; matches: readonly unknown[] }[] = [];
    for (const path of await codeFiles(paths)) {
      const original = await readCode(path);
      const result = await booster.executeTask({ operation: 'search', path, original, pattern, ...options.named });
      if (result.ok)
        found.push({ file: path, matches: (result.output as { readonly matches?: readonly unknown[] }).matches ?? [] });
      else if (result.taskId === undefined) output.note(refusalText(result, output, path));
    }
    output.show(found, () =>
      found
        .flatMap(({ file, matches }) =>
          matches.map(
            (match) =>
              `${file}:${placeOf(match)} ${clean(String((match as { readonly text?: unknown }).text).split('\n', 1)[0] ?? '')}`,
          ),
        )
        .join('\n'),
    );
    if (found.every(({ matches }) => matches.length === 0)) throw new OperationFailed('nothing found');
  });

const fileCommand = (operation: 'outline' | 'metrics', words: string, render: (output: unknown) => string): Command =>
  withBooster(new Command(operation).description(words).argument('<file>', '- for standard input')).action(
    async (file: string, options: BoosterOptions, command: Command) => {
      const { booster, output } = boosterOf(command, options);
      const result = doneOr(await booster.executeTask(await ofFile(file, options, { operation })), output, file);
      output.show(result.output, () => render(result.output));
    },
  );

const queryCommand = (): Command =>
  withBooster(
    new Command('query')
      .description('run a tree-sitter query on a file')
      .argument('<query>')
      .argument('<file>', '- for standard input'),
  ).action(async (query: string, file: string, options: BoosterOptions, command: Command) => {
    const { booster, output } = boosterOf(command, options);
    const result = doneOr(await booster.executeTask(await ofFile(file, options, { operation: 'query', query })), output, file);
    output.show(result.output, () => JSON.stringify(result.output, null, 2));
  });

const diffCommand = (): Command =>
  withBooster(new Command('diff').description('the unified difference of two files').argument('<old>').argument('<new>')).action(
    async (before: string, after: string, options: BoosterOptions, command: Command) => {
      const { booster, output } = boosterOf(command, options);
      const edit = await readCode(after);
      const result = doneOr(
        await booster.executeTask(await ofFile(before, options, { operation: 'diff', edit })),
        output,
        before,
      );
      printText(output, result.output);
    },
  );

const scaffoldCommand = (): Command =>
  withBooster(
    new Command('scaffold')
      .description('code from a template: function, class, interface, test, http-handler, cli')
      .argument('<kind>')
      .argument('<name>')
      .option('--describe <text>', 'becomes the doc comment'),
  ).action(async (kind: string, name: string, options: BoosterOptions & { describe?: string }, command: Command) => {
    const { booster, output } = boosterOf(command, options);
    const template = { kind, name, ...(options.describe === undefined ? {} : { description: options.describe }) };
    const result = doneOr(await booster.executeTask({ operation: 'scaffold', template, ...options.named }), output, name);
    printText(output, result.output);
  });

/** A request about one file; what comes from standard input has no name to tell its language by. */
async function ofFile(
  file: string,
  { named }: BoosterOptions,
  request: Pick<BoosterTaskRequest, 'operation' | 'query' | 'edit'>,
): Promise<BoosterTaskRequest> {
  return { ...request, original: await readCode(file), ...(file === '-' ? {} : { path: file }), ...named };
}

function printText(output: Output, text: unknown): void {
  if (output.format === 'json') output.line(JSON.stringify(text));
  else process.stdout.write(String(text));
}

interface Symbol {
  readonly kind?: string;
  readonly name?: string;
  readonly children?: readonly Symbol[];
}

function outlineLines(output: unknown): string[] {
  const lines: string[] = [];
  const add = (symbols: readonly Symbol[], depth: number): void => {
    for (const symbol of symbols) {
      lines.push(`${placeOf(symbol).padEnd(8)}${'  '.repeat(depth)}${clean(symbol.kind ?? '')} ${clean(symbol.name ?? '')}`);
      add(symbol.children ?? [], depth + 1);
    }
  };
  add((output as { readonly symbols?: readonly Symbol[] }).symbols ?? [], 0);
  return lines;
}
