import type { LanguageId } from '../languages.ts';

/** Comment delimiters of any language: models use the wrong one often enough. */
const LEADER = /^(?:\{\s*\/\*+|\/\/+|\/\*+|#+|--+|<!--+|;+|%+|"""|\*(?!\/))\s*/;
const TRAILER = /\s*(?:\*+\/\s*\}?|--+>|""")\s*$/;
const DOTS = /\.{3,}|…/;

/** Words by which a comment says that it stands for code. */
const ABOUT_CODE =
  /\b(?:existing|rest|unchanged|same|other|previous|remaining|remains?|keep|kept|omitted|elided|code|before|above|methods?|imports?|functions?|fields?|properties|statements|implementation|logic|class|content|body|as is|etc|unmodified|snip|skipped|more)\b/i;

/** The same without dots: only phrases that can hardly mean anything else. */
const PHRASE =
  /^[([]?\s*(?:(?:the\s+)?rest\s+of\s+(?:the\s+|this\s+)?(?:\w+\s+){0,2}(?:code|file|class|function|method|module|implementation|body|content)s?|(?:keep\s+)?(?:all\s+)?(?:the\s+)?(?:other\s+)?(?:existing|unchanged|remaining|previous)\s+(?:\w+\s+){0,2}(?:code|imports?|methods?|functions?|fields?|class(?:es)?|content|implementation|statements|tests?|properties|definitions?)|code\s+(?:unchanged|omitted|remains)|unchanged|same\s+as\s+(?:before|above)|no\s+changes?)(?:\s+(?:here|above|below|unchanged|as\s+is|as\s+before|remains?(?:\s+the\s+same|\s+unchanged)?|continues?(?:\s+here)?|goes\s+here|stays?(?:\s+the\s+same)?|omitted(?:\s+for\s+brevity)?))*\s*[)\]]?[.:]?$/i;

/** Whether the text of a comment, with its delimiters, stands for code that is not shown. */
export function isMarkerComment(comment: string): boolean {
  const trimmed = comment.trim();
  const body = trimmed.replace(LEADER, '').replace(TRAILER, '').trim();
  if (body === trimmed || body.length > 120) return false;
  return isMarkerText(body);
}

function isMarkerText(body: string): boolean {
  if (/^[([]?\s*(?:\.{3,}|…)\s*[)\]]?$/.test(body)) return true;
  if (!DOTS.test(body)) return PHRASE.test(body);
  const leads = /^[([]?\s*(?:\.{3,}|…)/.test(body);
  const trails = /(?:\.{3,}|…)\s*[)\]]?$/.test(body);
  if (leads && trails) return true;
  return (leads || trails) && ABOUT_CODE.test(body);
}

/** Whether a whole line is a marker. Bare dots are one too, except where they are code. */
export function isMarkerLine(text: string, language: LanguageId): boolean {
  const trimmed = text.trim();
  if (trimmed === '') return false;
  if (/^[([{]?\s*(?:\.{3,}|…)\s*[)\]}]?[;,]?$/.test(trimmed)) return language !== 'python' && !/^[([]/.test(trimmed);
  if (/^(?:\.{3,}|…)\s*\S/.test(trimmed) && /(?:\.{3,}|…)$/.test(trimmed) && ABOUT_CODE.test(trimmed)) return true;
  return isMarkerComment(trimmed);
}

/** Code that ends with a marker: `f() { // ...`, `f() { /* ... *​/ }`, `f() { ... }`. */
const INLINE = /^(?<before>.*\S)\s*(?<comment>\/\*.*\*\/|\/\/.*|#.*|\{\s*\/\*.*\*\/\s*\})\s*(?<after>[\])}]*[;,]?)\s*$/;
const BRACED_DOTS = /^(?<before>.*[{])\s*(?:\.{3,}|…)\s*(?<after>\}[\])}]*[;,]?)\s*$/;

export interface InlineMarker {
  readonly before: string;
  readonly after: string;
}

/** The code round a marker that shares its line, or null. */
export function splitInlineMarker(text: string, language: LanguageId): InlineMarker | null {
  if (!DOTS.test(text)) return null;
  const braced = language === 'python' ? null : BRACED_DOTS.exec(text);
  if (braced?.groups !== undefined) return { before: braced.groups['before'] ?? '', after: braced.groups['after'] ?? '' };
  const inline = INLINE.exec(text);
  if (inline?.groups === undefined) return null;
  const { before = '', comment = '', after = '' } = inline.groups;
  // Only round a block that is opened on this line: `x = 1; // ...` says nothing that can be placed.
  if (!isMarkerComment(comment) || !/[{(\[:]\s*$/.test(before) || isMarkerComment(before)) return null;
  return { before: before.trimEnd(), after };
}
