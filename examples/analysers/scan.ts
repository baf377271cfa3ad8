import type { Language } from './languages.ts';

export const CODE = 0;
export const COMMENT = 1;
export const STRING = 2;

/** A source text with every character told apart: code, comment or string (their delimiters included). */
export interface Scan {
  readonly source: string;
  readonly kinds: Uint8Array;
  /** Offset at which a string or comment began that never ended, `null` when all did. */
  readonly unterminatedAt: number | null;
}

/** Before these a slash divides; after anything else of a script it begins a regular expression. */
const ENDS_OPERAND = /[\w$)\]}'"`]$/;
const KEYWORD_BEFORE_REGEX = /(?:^|[^.\w$])(?:return|typeof|instanceof|in|of|new|delete|void|throw|case|do|else|yield|await)$/;
/** A character literal of a language whose single quote means other things, too, such as Rust. */
const CHARACTER = /'(?:\\[^\n]{1,10}?|[^\\'\n])'/y;
/** How much text before a slash is looked at. */
const LOOK_BEHIND_CHARS = 16;

/** Tells code, comments and strings apart. A scanner, not a parser: exact for well-formed text but for exotic regular expressions. */
export function scan(source: string, language: Language): Scan {
  const kinds = new Uint8Array(source.length);
  let unterminatedAt: number | null = null;
  // One entry for each `${` that is open, counting the braces inside it.
  const templates: number[] = [];
  let at = 0;

  const mark = (end: number, kind: number, isClosed = true): void => {
    if (!isClosed) unterminatedAt ??= at;
    kinds.fill(kind, at, end);
    at = end;
  };

  const closeQuote = (from: number, quote: string, isLong: boolean): number => {
    for (let i = from; i < source.length; i++) {
      if (source[i] === '\\') i++;
      else if (!isLong && source[i] === '\n') return -1;
      else if (source.startsWith(quote, i)) return i + quote.length;
    }
    return -1;
  };

  /** From a backtick or the brace that ends an expression, up to the next `${` or the end of the template. */
  const template = (): void => {
    for (let i = at + 1; i < source.length; i++) {
      if (source[i] === '\\') i++;
      else if (source[i] === '`') return mark(i + 1, STRING);
      else if (source[i] === '$' && source[i + 1] === '{') {
        templates.push(0);
        return mark(i + 2, STRING);
      }
    }
    mark(source.length, STRING, false);
  };

  const regexEnd = (): number => {
    let isInClass = false;
    for (let i = at + 1; i < source.length && source[i] !== '\n'; i++) {
      if (source[i] === '\\') i++;
      else if (source[i] === '[') isInClass = true;
      else if (source[i] === ']') isInClass = false;
      else if (source[i] === '/' && !isInClass) return i + 1;
    }
    return -1;
  };

  const beginsRegex = (): boolean => {
    let text = '';
    for (let i = at - 1; i >= 0 && text.length < LOOK_BEHIND_CHARS; i--) {
      if (kinds[i] === COMMENT || (text === '' && /\s/.test(source[i] ?? ''))) continue;
      text = (source[i] ?? '') + text;
    }
    return text === '' || !ENDS_OPERAND.test(text) || KEYWORD_BEFORE_REGEX.test(text);
  };

  while (at < source.length) {
    const block = language.blockComments.find(([open]) => source.startsWith(open, at));
    if (block !== undefined) {
      const end = source.indexOf(block[1], at + block[0].length);
      mark(end === -1 ? source.length : end + block[1].length, COMMENT, end !== -1);
      continue;
    }
    const isLineComment = language.lineComments.some((open) => source.startsWith(open, at) && !isMidWord(source, at, open));
    if (isLineComment || (at === 0 && source.startsWith('#!'))) {
      const end = source.indexOf('\n', at);
      mark(end === -1 ? source.length : end, COMMENT);
      continue;
    }
    const char = source[at] ?? '';
    if (language.isScript) {
      if (char === '`') {
        template();
        continue;
      }
      const open = templates.at(-1);
      if (open !== undefined && char === '{') templates[templates.length - 1] = open + 1;
      if (open !== undefined && char === '}') {
        if (open === 0) {
          templates.pop();
          template();
          continue;
        }
        templates[templates.length - 1] = open - 1;
      }
      if (char === '/' && beginsRegex()) {
        const end = regexEnd();
        if (end !== -1) {
          mark(end, STRING);
          continue;
        }
      }
    }
    const long = language.longQuotes.find((quote) => source.startsWith(quote, at));
    const quote = long ?? (language.quotes.includes(char) ? char : undefined);
    if (quote !== undefined) {
      const end = closeQuote(at + quote.length, quote, long !== undefined);
      // A quote that does not close on its line is left as code: an apostrophe in JSX text, a character in another language.
      if (end !== -1) mark(end, STRING);
      else if (long === undefined) mark(at + 1, CODE, false);
      else mark(source.length, STRING, false);
      continue;
    }
    if (char === "'" && language.blocks === 'braces') {
      CHARACTER.lastIndex = at;
      if (CHARACTER.test(source)) {
        mark(CHARACTER.lastIndex, STRING);
        continue;
      }
    }
    at++;
  }
  if (templates.length > 0) unterminatedAt ??= source.length;
  return { source, kinds, unterminatedAt };
}

/** `#` inside a word (`$#`, a colour, a URL's fragment) begins no comment. */
const isMidWord = (source: string, at: number, open: string): boolean =>
  open === '#' && at > 0 && !/\s/.test(source[at - 1] ?? '');

/** The text with everything but the kinds kept blanked out, lines and offsets unchanged. */
export function keep({ source, kinds }: Scan, ...kept: readonly number[]): string {
  const parts: string[] = [];
  for (let start = 0; start < source.length;) {
    const kind = kinds[start] ?? CODE;
    let end = start + 1;
    while (end < source.length && kinds[end] === kind) end++;
    const part = source.slice(start, end);
    parts.push(kept.includes(kind) ? part : part.replaceAll(/[^\n]/g, ' '));
    start = end;
  }
  return parts.join('');
}

/** 1-based line of an offset, for texts whose line starts are known. */
export function lineFinder(source: string): (offset: number) => number {
  const starts = [0];
  for (let i = source.indexOf('\n'); i !== -1; i = source.indexOf('\n', i + 1)) starts.push(i + 1);
  return (offset) => {
    let low = 0;
    let high = starts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle;
    }
    return low + 1;
  };
}
