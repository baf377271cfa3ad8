import { spawn } from 'node:child_process';
import type { Loader, Message } from 'esbuild';
import type { Language } from './languages.ts';
import { CODE, STRING, keep, lineFinder, scan } from './scan.ts';
import { type Analysis, type SourceFile, headOf, knownLanguage, runAsProgram } from './source-file.ts';

/** A file with more wrong than this is told no better by a longer list. */
const ERRORS_MAX = 20;
const PARSER_TIMEOUT_MS = 20_000;

export interface SyntaxProblem {
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

export interface SyntaxResult extends Analysis {
  /** Whether a real parser read the file. Otherwise `errors` is empty, and brackets and quotes were counted at most. */
  readonly checked: boolean;
  /** What looked at the file. */
  readonly by: string;
  readonly errors: readonly SyntaxProblem[];
  /** Of files no parser was there for: signs of a mistake, such as a bracket that never closes. */
  readonly suspicions: readonly SyntaxProblem[];
}

interface Parsed {
  readonly by: string;
  readonly errors: readonly SyntaxProblem[];
}

/** Finds syntax errors with the parser of the language, where there is one; otherwise says so. */
export async function checkSyntax(file: SourceFile): Promise<SyntaxResult> {
  const language = knownLanguage(file.path);
  const parsed = await parse(file, language);
  const head = headOf(file, language);
  if (parsed !== null)
    return { ...head, checked: true, by: parsed.by, errors: parsed.errors.slice(0, ERRORS_MAX), suspicions: [] };
  if (language.blocks !== 'braces') return { ...head, checked: false, by: 'nothing', errors: [], suspicions: [] };
  return {
    ...head,
    checked: false,
    by: 'counting brackets',
    errors: [],
    suspicions: unbalanced(file.source, language).slice(0, ERRORS_MAX),
  };
}

/** `null` when there is no parser for it here. */
async function parse({ path, source }: SourceFile, language: Language): Promise<Parsed | null> {
  switch (language.name) {
    case 'json':
      return { by: 'JSON.parse', errors: jsonErrors(source) };
    case 'jsonc':
      return { by: 'JSON.parse without comments', errors: jsonErrors(withoutComments(source, language)) };
    case 'javascript':
    case 'typescript':
    case 'css':
      return {
        by: 'esbuild',
        errors: (await esbuildErrors(source, loaderOf(path, language))).filter((error) => !isAmbient(path, error)),
      };
    case 'toml':
      return { by: 'smol-toml', errors: await tomlErrors(source) };
    case 'python':
      return external('python3', ['-c', PYTHON_PARSER], source, 'python3 ast');
    case 'shell':
      return external('bash', ['-n'], source, 'bash -n');
    default:
      return null;
  }
}

function jsonErrors(source: string): SyntaxProblem[] {
  try {
    JSON.parse(source.replace(/^\uFEFF/, ''));
    return [];
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const place = /\(line (\d+) column (\d+)\)/.exec(message);
    // Without a place the text ended too early.
    const [line, column] = place === null ? [source.split('\n').length, 1] : [Number(place[1]), Number(place[2])];
    return [{ line, column, message: message.replace(/,? "[\s\S]*" is not valid JSON$| in JSON at position[\s\S]*$/, '') }];
  }
}

/** Comments blanked and commas before a closing bracket dropped, with every line where it was. */
function withoutComments(source: string, language: Language): string {
  const scanned = scan(source, language);
  return keep(scanned, CODE, STRING).replaceAll(/,(?=\s*[}\]])/g, (comma, offset: number) =>
    scanned.kinds[offset] === CODE ? ' ' : comma,
  );
}

function loaderOf(path: string, language: Language): Loader {
  if (language.name === 'css') return 'css';
  if (path.endsWith('.tsx')) return 'tsx';
  // By custom plain .js may hold JSX, too; every other JavaScript parses the same.
  return language.name === 'typescript' ? 'ts' : 'jsx';
}

/** In a declaration file a constant needs no value; esbuild reads it as a module, in which it does. */
const isAmbient = (path: string, { message }: SyntaxProblem): boolean =>
  /\.d\.[cm]?ts$/.test(path) && /^Th(?:e|is) constant .*must be initialized$/.test(message);

async function esbuildErrors(source: string, loader: Loader): Promise<SyntaxProblem[]> {
  const { transform } = await import('esbuild');
  const options = { loader, logLevel: 'silent', logLimit: 0, jsx: 'preserve', sourcemap: false, tsconfigRaw: {} } as const;
  try {
    const { warnings } = await transform(source, options);
    // CSS is read with recovery, so its errors arrive as warnings.
    return warnings.filter((warning) => warning.id === 'css-syntax-error').map(problemOf);
  } catch (error) {
    if (!isBuildFailure(error)) throw error;
    return error.errors.map(problemOf);
  }
}

const problemOf = ({ location, text }: Message): SyntaxProblem => ({
  line: location?.line ?? 1,
  column: (location?.column ?? 0) + 1,
  message: text,
});

const isBuildFailure = (error: unknown): error is { readonly errors: readonly Message[] } =>
  error instanceof Error && 'errors' in error && Array.isArray(error.errors) && error.errors.length > 0;

async function tomlErrors(source: string): Promise<SyntaxProblem[]> {
  const { TomlError, parse: parseToml } = await import('smol-toml');
  try {
    parseToml(source);
    return [];
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    return [
      {
        line: error.line,
        column: error.column,
        message: (error.message.split('\n')[0] ?? '').replace('Invalid TOML document: ', ''),
      },
    ];
  }
}

/** Parses only, runs nothing; prints the place and the message of an error. */
const PYTHON_PARSER = `
import ast, sys
try:
    ast.parse(sys.stdin.buffer.read())
except SyntaxError as e:
    print(f"stdin: line {e.lineno or 1}:{e.offset or 1}: {e.msg}", file=sys.stderr)
    sys.exit(2)
except ValueError as e:
    print(f"stdin: line 1:1: {e}", file=sys.stderr)
    sys.exit(2)
`;

/** Asks a parser that may or may not be on this machine; `null` when it is not, or did not answer. */
function external(command: string, args: readonly string[], source: string, by: string): Promise<Parsed | null> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['pipe', 'ignore', 'pipe'], timeout: PARSER_TIMEOUT_MS });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (said += chunk));
    child.on('error', () => resolve(null));
    child.on('close', (code) => {
      if (code === 0) return resolve({ by, errors: [] });
      const errors = [...said.matchAll(/line (\d+)(?::(\d+))?: (.+)/g)].map(([, line, column, message]) => ({
        line: Number(line),
        column: Number(column ?? 1),
        message: message ?? '',
      }));
      resolve(errors.length === 0 ? null : { by, errors });
    });
    // It may stop reading at the first error.
    child.stdin.on('error', () => undefined);
    child.stdin.end(source);
  });
}

const CLOSER: ReadonlyMap<string, string> = new Map([
  ['(', ')'],
  ['[', ']'],
  ['{', '}'],
]);
const CLOSERS: ReadonlySet<string> = new Set(CLOSER.values());

/** Brackets without a partner outside comments and strings, and a string or comment that never ends. */
function unbalanced(source: string, language: Language): SyntaxProblem[] {
  const scanned = scan(source, language);
  const code = keep(scanned, CODE);
  const lineAt = lineFinder(source);
  const problemAt = (offset: number, message: string): SyntaxProblem => ({
    line: lineAt(offset),
    column: offset - source.lastIndexOf('\n', offset - 1),
    message,
  });
  const open: { readonly offset: number; readonly bracket: string }[] = [];
  const found: SyntaxProblem[] = [];
  for (let offset = 0; offset < code.length; offset++) {
    const bracket = code[offset] ?? '';
    if (CLOSER.has(bracket)) open.push({ offset, bracket });
    else if (CLOSERS.has(bracket)) {
      const last = open.pop();
      // After the first mismatch everything would look wrong.
      if (last === undefined || CLOSER.get(last.bracket) !== bracket) return [problemAt(offset, `'${bracket}' closes nothing`)];
    }
  }
  for (const { offset, bracket } of open) found.push(problemAt(offset, `'${bracket}' never closes`));
  if (scanned.unterminatedAt !== null) found.push(problemAt(scanned.unterminatedAt, 'a string or comment never ends'));
  return found;
}

if (import.meta.main) await runAsProgram(checkSyntax);
