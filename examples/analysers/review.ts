import { isBuiltin } from 'node:module';
import { findDuplicates, type Duplicate } from './duplicates.ts';
import type { Language } from './languages.ts';
import { CODE, STRING, keep, scan } from './scan.ts';
import { type Analysis, type SourceFile, headOf, knownLanguage, runAsProgram } from './source-file.ts';

/** Lists are cut here; the counts beside them are not. */
const LIST_MAX = 100;

export interface ReviewResult extends Analysis {
  /** Whether imports of this language are understood; without, the list is empty and says nothing. */
  readonly importsKnown: boolean;
  readonly imports: {
    readonly total: number;
    /** Files beside this one. */
    readonly relative: readonly string[];
    readonly packages: readonly string[];
    readonly builtin: readonly string[];
  };
  /** Lines that repeat an earlier block of this file. */
  readonly duplicateLines: number;
  readonly duplicates: readonly Duplicate[];
}

/** Reads what a file imports and which of its lines repeat. */
export function review(file: SourceFile): ReviewResult {
  const language = knownLanguage(file.path);
  const scanned = scan(file.source, language);
  const text = keep(scanned, CODE, STRING);
  // A quoted `import` imports nothing: the word itself must be code.
  const found = importsOf(text, language, (offset) => scanned.kinds[offset] === CODE);
  const specifiers = [...new Set(found ?? [])];
  const kindOf = (name: string): 'relative' | 'builtin' | 'packages' =>
    /^(?:\.|\/)/.test(name) ? 'relative' : language.isScript && isBuiltin(name) ? 'builtin' : 'packages';
  const list = (kind: string): string[] => specifiers.filter((name) => kindOf(name) === kind).slice(0, LIST_MAX);
  const duplicates = findDuplicates(text);
  return {
    ...headOf(file, language),
    importsKnown: found !== null,
    imports: { total: specifiers.length, relative: list('relative'), packages: list('packages'), builtin: list('builtin') },
    duplicateLines: duplicates.reduce((sum, duplicate) => sum + duplicate.lines, 0),
    duplicates: duplicates.slice(0, LIST_MAX),
  };
}

/** One pattern per way to import; the specifier is the first group. */
const SCRIPT_IMPORTS = [
  /(?<![.\w$])(?:import|export)\b[^;'"`(]*?\bfrom\s*['"]([^'"\n]+)['"]/g,
  /(?<![.\w$])import\s*['"]([^'"\n]+)['"]/g,
  /(?<![.\w$])(?:import|require)\s*\(\s*['"]([^'"\n]+)['"]\s*[),]/g,
];
const IMPORTS: Readonly<Record<string, readonly RegExp[]>> = {
  javascript: SCRIPT_IMPORTS,
  typescript: SCRIPT_IMPORTS,
  css: [/@import\s+(?:url\(\s*)?['"]([^'"\n]+)['"]/g],
  scss: [/@(?:import|use|forward)\s+['"]([^'"\n]+)['"]/g],
  python: [/^[ \t]*from\s+([\w.]+)\s+import\b/gm, /^[ \t]*import\s+([\w.]+(?:[ \t]*,[ \t]*[\w.]+)*)/gm],
  go: [/^import\s+(?:[\w.]+\s+)?"([^"\n]+)"/gm],
  rust: [/^[ \t]*(?:pub\s+)?use\s+([\w:]+)/gm],
  java: [/^import\s+(?:static\s+)?([\w.*]+)\s*;/gm],
  kotlin: [/^import\s+([\w.*]+)/gm],
  swift: [/^import\s+(\w+)/gm],
  c: [/^[ \t]*#[ \t]*include\s*[<"]([^>"\n]+)[>"]/gm],
  'c++': [/^[ \t]*#[ \t]*include\s*[<"]([^>"\n]+)[>"]/gm],
  'c#': [/^[ \t]*using\s+(?:static\s+)?([\w.]+)\s*;/gm],
  ruby: [/^[ \t]*require(?:_relative)?\s*\(?\s*['"]([^'"\n]+)['"]/gm],
};

function importsOf(text: string, language: Language, isCode: (offset: number) => boolean): string[] | null {
  const patterns = IMPORTS[language.name];
  if (patterns === undefined) return null;
  const found: string[] = [];
  for (const pattern of patterns) {
    for (const match of text.matchAll(pattern)) {
      const word = match.index + match[0].length - match[0].trimStart().length;
      if (isCode(word)) found.push(...(match[1] ?? '').split(/\s*,\s*/));
    }
  }
  if (language.name === 'go') {
    for (const block of text.matchAll(/^import\s*\(([^)]*)\)/gm))
      for (const [, name] of (block[1] ?? '').matchAll(/"([^"\n]+)"/g)) found.push(name ?? '');
  }
  return found;
}

if (import.meta.main) await runAsProgram(review);
