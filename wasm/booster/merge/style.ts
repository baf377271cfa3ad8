import type { LanguageId } from '../languages.ts';
import { splitInlineMarker, isMarkerLine } from './markers.ts';
import type { EditStyle } from './types.ts';

export const SEARCH_LINE = /^\s*<{5,9}\s*(?:SEARCH|ORIGINAL|HEAD|OLD)\b.*$/i;
export const DIVIDER_LINE = /^\s*={5,9}\s*$/;
export const REPLACE_LINE = /^\s*>{5,9}\s*(?:REPLACE|UPDATED|NEW)\b.*$/i;

export const HUNK_LINE = /^@@(?:\s|$|@)/;
const FENCE = /^\s*(?:```|~~~)\s*(?<tag>[\w+#.-]*)\s*.*$/;

/**
 * What the edit says once wrapping is off: the inside of its one code fence, with the prose round it dropped. Several
 * fences, or SEARCH/REPLACE blocks inside them, are left as they are.
 */
export function withoutFence(texts: readonly string[]): { readonly texts: readonly string[]; readonly several: boolean } {
  const fences = texts.flatMap((text, line) => (FENCE.test(text) ? [line] : []));
  const [open, close] = fences;
  if (open === undefined || close === undefined) return { texts, several: false };
  if (texts.some((text) => SEARCH_LINE.test(text))) return { texts: texts.filter((text) => !FENCE.test(text)), several: false };
  if (fences.length === 2) {
    // A fence inside a file (Markdown in a docstring) has code round it.
    const outside = [...texts.slice(0, open), ...texts.slice(close + 1)].filter((text) => text.trim() !== '');
    const indented = /^\s/.test(texts[open] ?? '');
    return indented || outside.some((text) => /[{};=]\s*$/.test(text))
      ? { texts, several: false }
      : { texts: texts.slice(open + 1, close), several: false };
  }
  const first = texts.find((text) => text.trim() !== '') ?? '';
  if (FENCE.test(first) && FENCE.test(texts.findLast((text) => text.trim() !== '') ?? '') && fences.length > 2)
    return { texts, several: true };
  return { texts, several: false };
}

/** The style of an edit without wrapping; `snippet` also stands for a full rewrite, which only the original can tell. */
export function detectStyle(texts: readonly string[], language: LanguageId): EditStyle {
  if (texts.some((text) => SEARCH_LINE.test(text)) && texts.some((text) => REPLACE_LINE.test(text))) return 'search_replace';
  const hunk = texts.findIndex((text) => HUNK_LINE.test(text));
  if (hunk >= 0 && texts.slice(hunk + 1).some((text) => /^[+-]/.test(text))) return 'unified_diff';
  if (texts.some((text) => isMarkerLine(text, language) || splitInlineMarker(text, language) !== null)) return 'lazy';
  return 'snippet';
}
