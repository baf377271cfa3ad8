import type { Position } from './task.ts';

/** A place in a text, in each way a reader may count it. */
export interface FullPosition extends Position {
  /** Column in bytes of UTF-8, from 1. */
  readonly byteColumn: number;
  /** From the start of the text, in UTF-16 units, from 0. */
  readonly offset: number;
  /** From the start of the text, in bytes of UTF-8, from 0. */
  readonly byteOffset: number;
}

export interface Range {
  readonly start: FullPosition;
  readonly end: FullPosition;
}

/** The lines of one text. A line ends with `\n`; `\r` before it belongs to the line. */
export class Positions {
  readonly #source: string;
  readonly #lineStarts: number[] = [0];
  readonly #byteStarts: number[] = [0];
  readonly #ascii: boolean;

  constructor(source: string) {
    this.#source = source;
    for (let at = source.indexOf('\n'); at >= 0; at = source.indexOf('\n', at + 1)) this.#lineStarts.push(at + 1);
    // eslint-disable-next-line no-control-regex -- the first 128 characters are one byte each
    this.#ascii = /^[\u0000-\u007f]*$/.test(source);
    if (this.#ascii) this.#byteStarts = this.#lineStarts;
    else {
      for (let line = 1; line < this.#lineStarts.length; line++) {
        const [from, to] = [this.#lineStarts[line - 1] ?? 0, this.#lineStarts[line] ?? 0];
        this.#byteStarts.push((this.#byteStarts[line - 1] ?? 0) + utf8Length(source, from, to));
      }
    }
  }

  get lineCount(): number {
    return this.#lineStarts.length;
  }

  at(offset: number): Position {
    const line = this.#lineOf(offset);
    return { line: line + 1, column: offset - (this.#lineStarts[line] ?? 0) + 1 };
  }

  full(offset: number): FullPosition {
    const line = this.#lineOf(offset);
    const lineStart = this.#lineStarts[line] ?? 0;
    const bytes = this.#ascii ? offset - lineStart : utf8Length(this.#source, lineStart, offset);
    return {
      line: line + 1,
      column: offset - lineStart + 1,
      byteColumn: bytes + 1,
      offset,
      byteOffset: (this.#byteStarts[line] ?? 0) + bytes,
    };
  }

  range(start: number, end: number): Range {
    return { start: this.full(start), end: this.full(end) };
  }

  /** The offset of a position, or null if the text has no such place. */
  offsetOf({ line, column }: Position): number | null {
    const start = this.#lineStarts[line - 1];
    if (start === undefined || column < 1) return null;
    const end = this.#lineStarts[line] ?? this.#source.length + 1;
    return start + column - 1 < end ? start + column - 1 : null;
  }

  #lineOf(offset: number): number {
    let low = 0;
    let high = this.#lineStarts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#lineStarts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** Bytes of UTF-8; a lone surrogate counts as the three bytes of the replacement character. */
export function utf8Length(text: string, from = 0, to = text.length): number {
  let bytes = 0;
  for (let at = from; at < to; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) bytes += 1;
    else if (unit < 0x800) bytes += 2;
    else if (unit >= 0xd800 && unit < 0xdc00 && at + 1 < to && isLowSurrogate(text.charCodeAt(at + 1))) {
      bytes += 4;
      at++;
    } else bytes += 3;
  }
  return bytes;
}

const isLowSurrogate = (unit: number): boolean => unit >= 0xdc00 && unit < 0xe000;
