import type { Splice } from '../engine.ts';

/** A text as lines. Ends of lines are kept line by line, because files mix them. */
export interface Lines {
  /** Without their line ends. A text that ends with a line end has no empty last line. */
  readonly texts: readonly string[];
  readonly eols: readonly string[];
  /** Offsets of the lines, and one more: the length of the text. */
  readonly starts: readonly number[];
}

export function splitLines(source: string): Lines {
  const texts: string[] = [];
  const eols: string[] = [];
  const starts: number[] = [];
  let at = 0;
  while (at < source.length) {
    const feed = source.indexOf('\n', at);
    starts.push(at);
    if (feed < 0) {
      texts.push(source.slice(at));
      eols.push('');
      at = source.length;
    } else {
      const crlf = feed > at && source.charCodeAt(feed - 1) === 13;
      texts.push(source.slice(at, crlf ? feed - 1 : feed));
      eols.push(crlf ? '\r\n' : '\n');
      at = feed + 1;
    }
  }
  starts.push(source.length);
  return { texts, eols, starts };
}

export const BOM = '\uFEFF';

export const withoutBom = (text: string): string => (text.startsWith(BOM) ? text.slice(1) : text);

export const normalizeEols = (text: string): string => (text.includes('\r') ? text.replaceAll('\r\n', '\n') : text);

/** The line end most lines have; a line feed if there is none. */
export function dominantEol(lines: Lines): string {
  let crlf = 0;
  let feed = 0;
  for (const eol of lines.eols) {
    if (eol === '\r\n') crlf += 1;
    else if (eol === '\n') feed += 1;
  }
  return crlf > feed ? '\r\n' : '\n';
}

export const isBlank = (text: string): boolean => text.trim() === '';

export const indentOf = (text: string): string => /^[ \t]*/.exec(text)?.[0] ?? '';

/** The width of an indent, tabs to the next multiple of four: only for comparing. */
export function indentWidth(text: string): number {
  let width = 0;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit === 32) width += 1;
    else if (unit === 9) width += 4 - (width % 4);
    else break;
  }
  return width;
}

/** Moves lines from one indent to another; lines that do not start with `from` stay. */
export const reindent = (texts: readonly string[], from: string, to: string): string[] =>
  from === to ? [...texts] : texts.map((text) => (isBlank(text) || !text.startsWith(from) ? text : to + text.slice(from.length)));

/** The indent all lines that are not blank begin with. */
export function commonIndent(texts: readonly string[]): string {
  let common: string | null = null;
  for (const text of texts) {
    if (isBlank(text)) continue;
    const indent = indentOf(text);
    if (common === null) common = indent;
    else {
      let length = 0;
      while (length < common.length && length < indent.length && common[length] === indent[length]) length += 1;
      common = common.slice(0, length);
    }
  }
  return common ?? '';
}

export function applySplices(source: string, splices: readonly Splice[]): string {
  let result = '';
  let at = 0;
  for (const { start, end, text } of splices) {
    if (start < at) throw new Error('splices overlap');
    result += source.slice(at, start) + text;
    at = end;
  }
  return result + source.slice(at);
}

/** One line of an output: a line of the original by its index, or a new one by its text. */
export type OutLine = number | string;

/**
 * The splices that turn the original into these lines. Kept lines must rise. New lines take the line end of the line before
 * them; whether the file ends with one stays as it was.
 */
export function toSplices(lines: Lines, out: readonly OutLine[]): Splice[] {
  const count = lines.texts.length;
  const plainEol = dominantEol(lines);
  const endsOpen = count > 0 && lines.eols[count - 1] === '';
  const splices: Splice[] = [];
  let next = 0;
  let at = 0;
  while (at < out.length || next < count) {
    const line = out[at];
    if (line === next) {
      next += 1;
      at += 1;
      continue;
    }
    const fresh: string[] = [];
    while (typeof out[at] === 'string') {
      fresh.push(out[at] as string);
      at += 1;
    }
    const resume = at < out.length ? (out[at] as number) : count;
    const first = next;
    // A new line that is the old line but for its end is no change.
    let eol = first > 0 ? (lines.eols[first - 1] ?? '') : (lines.eols[first] ?? '');
    if (eol === '') eol = plainEol;
    let start = lines.starts[first] ?? 0;
    const end = lines.starts[resume] ?? 0;
    let text = fresh.map((each) => each + eol).join('');
    if (resume === count && endsOpen) {
      // The open end stays open: the line end moves before the new lines, or goes with the removed ones.
      if (first === count && fresh.length > 0) text = eol + text;
      if (text.endsWith(eol)) text = text.slice(0, -eol.length);
      else if (fresh.length === 0 && first > 0 && first < count) start -= (lines.eols[first - 1] ?? '').length;
    }
    splices.push({ start, end, text });
    next = resume;
  }
  return splices;
}
