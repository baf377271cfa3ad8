import type { Language } from './languages.ts';
import { lineFinder } from './scan.ts';

export interface FoundFunction {
  readonly name: string;
  readonly line: number;
  /** From its first line to its last. */
  readonly lines: number;
}

/** How far back a function's header may begin. */
const HEADER_CHARS = 2_000;
const CALLEE_CHARS = 60;
const NOT_A_FUNCTION =
  /^(?:if|for|while|switch|catch|with|await|return|new|match|when|foreach|using|lock|unless|until|loop|synchronized|super|this)$/;
const SCRIPT_DECLARATION = /(?<![.\w$])function\b\s*\*?\s*([\w$]*)/;
/** Go names the receiver before the function. */
const DECLARATION = /(?<![.\w])(?:function|func|fn|fun)\b\s*&?\s*(?:\([^)]*\)\s*)?(\w*)/;
const NOT_A_HEADER =
  /^(?:export\s+)?(?:default\s+)?(?:\w+\s+)*?(?:class|interface|enum|namespace|module|struct|trait|impl|union|object)\b/;

/** Functions with a body, from text whose comments and strings are blanked. An estimate from the shape of the text. */
export function findFunctions(code: string, language: Language): FoundFunction[] {
  if (language.blocks === 'indentation') return findByIndentation(code);
  if (language.blocks === 'none' || ['json', 'jsonc', 'css', 'scss'].includes(language.name)) return [];
  const lineAt = lineFinder(code);
  const found: FoundFunction[] = [];
  const open: ({ readonly name: string; readonly line: number } | null)[] = [];
  for (const { 0: brace, index } of code.matchAll(/[{}]/g)) {
    if (brace === '{') {
      const header = headerBefore(code, index);
      const name = nameOf(header, language);
      open.push(name === null ? null : { name, line: lineAt(header.offset) });
    } else {
      const begun = open.pop();
      if (begun != null) found.push({ ...begun, lines: lineAt(index) - begun.line + 1 });
    }
  }
  return found;
}

interface Header {
  readonly text: string;
  readonly offset: number;
  /** What is called with this function as an argument, if anything. */
  readonly callee: string;
}

/** The text from the start of the statement, or of the argument, to the brace. */
function headerBefore(code: string, brace: number): Header {
  let depth = 0;
  let at = brace - 1;
  for (; at >= Math.max(0, brace - HEADER_CHARS); at--) {
    const char = code[at] ?? '';
    if (char === ')' || char === ']') depth++;
    else if (char === '(' || char === '[') depth--;
    else if (depth === 0 && (char === ';' || char === '{' || char === '}')) break;
    if (depth < 0) break;
  }
  const raw = code.slice(at + 1, brace);
  const text = raw.trim();
  const callee = depth < 0 ? (/[\w$.#]+$/.exec(code.slice(Math.max(0, at - CALLEE_CHARS), at))?.[0] ?? '') : '';
  return { text, offset: brace - raw.trimStart().length, callee };
}

/** `null` when the header is none of a function. */
function nameOf({ text: header, callee }: Header, language: Language): string | null {
  const anonymous = callee === '' ? 'anonymous' : `callback of ${callee}`;
  if (header.endsWith('=>'))
    return /(?:^|[\s,])([\w$]+)\s*(?::[^=]+)?=\s*(?:async\s*)?(?:<.*>)?\s*[\w$(]/s.exec(header)?.[1] ?? anonymous;
  if (!header.includes('(') || NOT_A_HEADER.test(header)) return null;
  const declared = (language.isScript ? SCRIPT_DECLARATION : DECLARATION).exec(header);
  if (declared !== null) return declared[1] || anonymous;
  const name = /([\w$#~]+)\s*(?:<[^()]*>)?\s*\(/.exec(header)?.[1];
  // What stands after the parameters may be a type, never an assignment; `return` and its like call something.
  if (name === undefined || NOT_A_FUNCTION.test(name) || /^(?:return|throw|await|yield|else|do|try)\b/.test(header)) return null;
  return /\)[^()]*=[^()>]*$/.test(header) ? null : name;
}

function findByIndentation(code: string): FoundFunction[] {
  const lines = code.split('\n');
  const found: FoundFunction[] = [];
  for (const [index, line] of lines.entries()) {
    const definition = /^(\s*)(?:async\s+)?def\s+(\w+)/.exec(line);
    if (definition === null) continue;
    const indent = definition[1]?.length ?? 0;
    let last = index;
    for (let i = index + 1; i < lines.length; i++) {
      const text = lines[i] ?? '';
      if (text.trim() === '') continue;
      const isInside = text.length - text.trimStart().length > indent;
      // The closing bracket of the parameters may stand below the `def`.
      if (!isInside && !/^\s*[)\]}]/.test(text)) break;
      last = i;
    }
    found.push({ name: definition[2] ?? '', line: index + 1, lines: last - index + 1 });
  }
  return found;
}
