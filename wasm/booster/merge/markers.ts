import type { LanguageId } from '../languages.ts';

/** Comment delimiters of any language: models use the wrong one often enough. */
const LEADER = /^(?:\{\s*\/\*+|\/\/+|\/\*+|#+|--+|<!--+|;+|%+|"""|\*(?!\/))\s*/;
const TRAILER = /\s*(?:\*+\/\s*\}?|--+>|""")\s*$/;
const DOTS = /\.{3,}|…/;

/** The words of which comments that stand for code are made. A sentence that merely trails off has others. */
const MARKER_WORDS = new Set(
  (
    'a above additional all and any are as at before below body brevity class classes code constants content contents continue continues ' +
    'cases constructor declarations def definitions else elided elements elsewhere end entries etc everything exactly existing exports few fields file ' +
    'following for from function functions goes handlers helper helpers here identical implementation import imports in init is it items keep keeps ' +
    'kept last leave left lines logic main many method methods middle module more no not nothing of omit omitted or original other others out ' +
    'parameters parts preserved previous properties props remain remaining remains rest retain routes same section setup skip skipped snip snipped ' +
    'some start state statements stay stays still stuff tests that the there these this though to top truncated types unchanged unmodified up ' +
    'untouched variables was we were with your changed changes modified update updates previously'
  ).split(' '),
);

/** One word that must be among them, so that `// and then ...` is no marker. */
const ABOUT_CODE =
  /\b(?:existing|rest|unchanged|same|other|others|previous|remaining|remains?|keep|kept|omitted|elided|code|methods?|imports?|functions?|fields?|properties|statements|implementation|unmodified|untouched|snip|snipped|skipped|truncated|more|everything|original)\b/i;

/** Whether a comment is made of such words, but for one that may be a name. */
function isAboutCode(body: string): boolean {
  if (/\b(?:TODO|FIXME|XXX|HACK|NOTE)\b/.test(body)) return false;
  const words = body.toLowerCase().match(/[\p{L}\p{N}_$]+/gu) ?? [];
  return (
    ABOUT_CODE.test(body) &&
    words.length <= 12 &&
    words.filter((word) => !MARKER_WORDS.has(word)).length <= (words.length > 1 ? 1 : 0)
  );
}

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
  return (leads || trails) && isAboutCode(body);
}

/** Whether a whole line is a marker. Bare dots are one too, except where they are code. */
export function isMarkerLine(text: string, language: LanguageId): boolean {
  const trimmed = text.trim();
  if (trimmed === '') return false;
  if (/^[([{]?\s*(?:\.{3,}|…)\s*[)\]}]?[;,]?$/.test(trimmed)) return language !== 'python' && !/^[([]/.test(trimmed);
  if (/^(?:\.{3,}|…)\s*\S/.test(trimmed) && /(?:\.{3,}|…)$/.test(trimmed) && isAboutCode(trimmed)) return true;
  return isMarkerComment(trimmed);
}

/** Code that ends with a marker in a comment of either kind, `f() { // ...`, or in bare dots, `f() { ... }`. */
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
  if (!isMarkerComment(comment) || !/[{([:]\s*$/.test(before) || isMarkerComment(before)) return null;
  return { before: before.trimEnd(), after };
}
