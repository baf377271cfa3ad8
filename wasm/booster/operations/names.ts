import type { LanguageId } from '../languages.ts';

const words = (text: string): ReadonlySet<string> => new Set(text.split(' '));

const ECMA = words(
  'break case catch class const continue debugger default delete do else enum export extends false finally for function if import in instanceof new null return super switch this throw true try typeof var void while with yield let static implements interface package private protected public await async eval arguments undefined NaN Infinity',
);

/** Words that cannot be a name, or are a trap as one. Names of the language's library are not here: their uses are seen in the code. */
const RESERVED: Partial<Readonly<Record<LanguageId, ReadonlySet<string>>>> = {
  javascript: ECMA,
  typescript: new Set([...ECMA, ...words('any unknown never object string number boolean symbol bigint type namespace declare')]),
  python: words(
    'False None True and as assert async await break class continue def del elif else except finally for from global if import in is lambda nonlocal not or pass raise return try while with yield match case type _',
  ),
  go: words(
    'break case chan const continue default defer else fallthrough for func go goto if import interface map package range return select struct switch type var _ false iota nil true init main',
  ),
  rust: words(
    'as async await break const continue crate dyn else enum extern false fn for if impl in let loop match mod move mut pub ref return self Self static struct super trait true type unsafe use where while abstract become box do final macro override priv try typeof unsized virtual yield union _ gen',
  ),
  java: words(
    'abstract assert boolean break byte case catch char class const continue default do double else enum extends final finally float for goto if implements import instanceof int interface long native new package private protected public return short static strictfp super switch synchronized this throw throws transient try void volatile while true false null _ var record yield sealed permits when',
  ),
};

const SHAPES: Partial<Readonly<Record<LanguageId, RegExp>>> = {
  javascript: /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u,
  typescript: /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u,
  python: /^[\p{XID_Start}_]\p{XID_Continue}*$/u,
  go: /^[\p{L}_][\p{L}_\p{Nd}]*$/u,
  rust: /^[\p{XID_Start}_]\p{XID_Continue}*$/u,
  java: /^[\p{L}_$][\p{L}\p{Nd}_$]*$/u,
};

export const NAME_MAX_LENGTH = 256;

/** Whether the text can be the name of something declared in the language. */
export function isName(language: LanguageId, text: string): boolean {
  const key = language === 'tsx' ? 'typescript' : language;
  // Normalised, because Python and Rust take two spellings of one letter for the same name.
  if (text.length > NAME_MAX_LENGTH || text.normalize('NFC') !== text) return false;
  return SHAPES[key]?.test(text) === true && RESERVED[key]?.has(text) !== true;
}
