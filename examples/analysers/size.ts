import { findFunctions } from './functions.ts';
import type { Language } from './languages.ts';
import { CODE, COMMENT, type Scan, STRING, keep, scan } from './scan.ts';
import { type Analysis, type SourceFile, headOf, knownLanguage, runAsProgram } from './source-file.ts';

export interface SizeResult extends Analysis {
  readonly bytes: number;
  readonly lines: { readonly total: number; readonly code: number; readonly comment: number; readonly blank: number };
  /** Deepest nesting of blocks. */
  readonly maxNesting: number;
  /** Places where the flow divides; one more is the cyclomatic complexity of the whole file. Counted by words and signs, not by a parser. */
  readonly branches: number;
  readonly functions: number;
  readonly longestFunction: { readonly name: string; readonly line: number; readonly lines: number } | null;
}

/** Measures size and complexity. */
export function measure(file: SourceFile): SizeResult {
  const language = knownLanguage(file.path);
  const scanned = scan(file.source, language);
  const code = keep(scanned, CODE);
  const functions = findFunctions(code, language);
  const longest = functions.reduce<(typeof functions)[number] | null>((a, b) => (a === null || b.lines > a.lines ? b : a), null);
  return {
    ...headOf(file, language),
    bytes: Buffer.byteLength(file.source, 'utf8'),
    lines: countLines(scanned),
    maxNesting:
      language.blocks === 'braces' ? nestingOfBraces(code) : language.blocks === 'indentation' ? nestingOfIndents(scanned) : 0,
    branches: countBranches(code, language),
    functions: functions.length,
    longestFunction: longest,
  };
}

/** A line with any code counts as code; the end of the last line begins no other. */
function countLines(scanned: Scan): SizeResult['lines'] {
  const counts = { total: 0, code: 0, comment: 0, blank: 0 };
  const code = keep(scanned, CODE, STRING).split('\n');
  const comment = keep(scanned, COMMENT).split('\n');
  if (code.at(-1)?.trim() === '' && comment.at(-1)?.trim() === '') code.pop();
  for (const [index, line] of code.entries()) {
    counts.total++;
    if (line.trim() !== '') counts.code++;
    else if (comment[index]?.trim() !== '') counts.comment++;
    else counts.blank++;
  }
  return counts;
}

function nestingOfBraces(code: string): number {
  let depth = 0;
  let deepest = 0;
  for (const [bracket] of code.matchAll(/[{}]/g)) {
    depth = Math.max(0, depth + (bracket === '{' ? 1 : -1));
    deepest = Math.max(deepest, depth);
  }
  return deepest;
}

/** Levels of indentation of lines that begin a statement; the inside of brackets and of long strings is none. */
function nestingOfIndents(scanned: Scan): number {
  const code = keep(scanned, CODE);
  const levels: number[] = [0];
  let deepest = 0;
  let open = 0;
  let offset = 0;
  for (const line of code.split('\n')) {
    const isContinued = open > 0 || scanned.kinds[offset] === STRING;
    offset += line.length + 1;
    if (line.trim() !== '' && !isContinued) {
      const indent = line.length - line.trimStart().length;
      while ((levels.at(-1) ?? 0) > indent) levels.pop();
      if ((levels.at(-1) ?? 0) < indent) levels.push(indent);
      deepest = Math.max(deepest, levels.length - 1);
    }
    open += [...line.matchAll(/[([{]/g)].length - [...line.matchAll(/[)\]}]/g)].length;
  }
  return deepest;
}

const SCRIPT_BRANCH = /(?<![.\w$])(?:if|for|while|case|catch)(?![\w$:])|&&|\|\||\?\?|\?(?![.?:,)=;>\]])/g;
const BRACES_BRANCH = /(?<![.\w])(?:if|for|while|case|catch|match|when|foreach|loop)(?!\w)|&&|\|\||\?(?=\s)/g;
const PYTHON_BRANCH = /(?<![.\w])(?:if|elif|for|while|except|and|or|case)(?!\w)/g;
const SHELL_BRANCH = /(?<![.\w-])(?:if|elif|for|while|until)(?![\w-])|&&|\|\||;;/g;
const RUBY_BRANCH = /(?<![.\w:])(?:if|elsif|unless|for|while|until|when|rescue)(?![\w:])|&&|\|\|/g;
/** Languages that describe rather than decide. */
const WITHOUT_BRANCHES: ReadonlySet<string> = new Set(['json', 'jsonc', 'css', 'scss', 'html', 'toml', 'yaml', 'sql']);

function countBranches(code: string, language: Language): number {
  if (WITHOUT_BRANCHES.has(language.name)) return 0;
  // The second question mark of `??` is followed by anything.
  if (language.isScript) return [...code.matchAll(SCRIPT_BRANCH)].length;
  const words: Readonly<Record<string, RegExp>> = { python: PYTHON_BRANCH, shell: SHELL_BRANCH, ruby: RUBY_BRANCH };
  return [...code.matchAll(words[language.name] ?? BRACES_BRANCH)].length;
}

if (import.meta.main) await runAsProgram(measure);
