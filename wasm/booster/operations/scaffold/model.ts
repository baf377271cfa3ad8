import type { ScaffoldKind } from '../task.ts';

/** A parameter whose name and type were checked. */
export interface Parameter {
  /** Its words, to be written as the language does. */
  readonly words: readonly string[];
  readonly type: string | null;
}

/** What a template is filled with. Everything in it was checked: it cannot end a comment, string or statement. */
export interface Blank {
  readonly words: readonly string[];
  readonly parameters: readonly Parameter[];
  readonly returns: string | null;
  /** Lines of the description; none if there is no description. */
  readonly description: readonly string[];
}

export type Templates = Readonly<Record<ScaffoldKind, ((blank: Blank) => string) | null>>;

const capital = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1).toLowerCase();

export const pascal = (words: readonly string[]): string => words.map(capital).join('');
export const camel = (words: readonly string[]): string => (words[0] ?? '').toLowerCase() + pascal(words.slice(1));
export const snake = (words: readonly string[]): string => words.join('_').toLowerCase();
export const kebab = (words: readonly string[]): string => words.join('-').toLowerCase();
export const sentence = (words: readonly string[]): string => words.join(' ').toLowerCase();

/** `parseConfig`, `parse_config`, `parse-config` and `Parse config` are the words parse, config; `HTTPServer` is http, server. */
export function wordsOf(name: string): readonly string[] {
  return name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replaceAll(/([A-Z]+)([A-Z][a-z])/g, '$1 $2')
    .split(/[\s_-]+/)
    .filter((word) => word !== '');
}

/** A block comment as JavaScript, TypeScript and Java have it, with its line break; empty without lines. */
export function blockDoc(lines: readonly string[], indent = ''): string {
  if (lines.length === 0) return '';
  if (lines.length === 1) return `${indent}/** ${lines[0] ?? ''} */\n`;
  return `${indent}/**\n${lines.map((line) => `${indent} * ${line}`.trimEnd()).join('\n')}\n${indent} */\n`;
}

/** Each line behind a mark. */
export const lineDoc = (mark: string, lines: readonly string[], indent = ''): string =>
  lines.map((line) => `${`${indent}${mark} ${line}`.trimEnd()}\n`).join('');
