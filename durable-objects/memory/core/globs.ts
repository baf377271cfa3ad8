import { MEMORY_LIMITS } from '../../../shared/memory-limits.ts';

/*
 * Whether two path patterns can mean one path. The answer is exact for the language below, and where file systems differ
 * (case, a leading slash, Unicode's forms) it errs on the side of "yes": a missed overlap is two writers on one file.
 *
 * `*` and `?` within a folder, `**` over folders, `[abc]`, `[a-z]`, `[!abc]`, `{a,b}`. A plain path also stands for everything
 * below it, since it may name a folder.
 */

/** Code points from, to, both included. */
type Range = readonly [from: number, to: number];
type CharacterSet = readonly Range[];

/** One step through a path: a character of a set, or any number of them. */
interface Part {
  readonly set: CharacterSet;
  readonly repeats: boolean;
  /** The whole of what follows up to this part's end may be missing: `**` and its slash. */
  readonly skipTo?: number;
}
export interface Pattern {
  readonly parts: readonly Part[];
  /** What lies below a match is meant, too. */
  readonly covers: boolean;
}

const SLASH = 47;
const LAST = 0x10ffff;
const ANY: CharacterSet = [[0, LAST]];
const NOT_SLASH: CharacterSet = [
  [0, SLASH - 1],
  [SLASH + 1, LAST],
];
const ONLY_SLASH: CharacterSet = [[SLASH, SLASH]];

/** Forms of some tools that would mean more here than they seem to: they are refused rather than taken for names. */
const FOREIGN = /[?*+@!]\(|^!|\[:|\{[^{},]*\.\.[^{},]*\}/;

/** What is wrong with a pattern, in words for its author; null when it can be used. */
export function globProblem(glob: string): string | null {
  if (FOREIGN.test(glob)) return 'uses a form of pattern that is not understood here, such as !(a), !a, [[:alpha:]] or {1..9}';
  const alternatives = expand(glob);
  if (alternatives === null) return `has more than ${MEMORY_LIMITS.globAlternatives} alternatives`;
  if (alternatives.some((one) => (one.match(/[*?[]/g)?.length ?? 0) > MEMORY_LIMITS.globWildcards)) {
    return `has more than ${MEMORY_LIMITS.globWildcards} wildcards`;
  }
  return null;
}

/** A glob as patterns, one for each of its alternatives. */
export const patternsOf = (glob: string): readonly Pattern[] => (expand(glob) ?? ['**']).map(compile);

/** Whether some path is meant by both. */
export const overlap = (a: readonly Pattern[], b: readonly Pattern[]): boolean =>
  a.some((one) => b.some((other) => meet(one, other)));

/** `a{b,c}d` as `abd` and `acd`; null for too many. A brace that is never closed is a character. */
function expand(glob: string): readonly string[] | null {
  let open = [glob];
  for (;;) {
    let changed = false;
    const next: string[] = [];
    for (const text of open) {
      const group = innermost(text);
      if (group === null) next.push(text);
      else {
        changed = true;
        for (const choice of text.slice(group[0] + 1, group[1]).split(',')) {
          next.push(text.slice(0, group[0]) + choice + text.slice(group[1] + 1));
        }
      }
      if (next.length > MEMORY_LIMITS.globAlternatives) return null;
    }
    open = next;
    if (!changed) return [...new Set(open)];
  }
}

/** The first brace group without another one inside. */
function innermost(text: string): readonly [number, number] | null {
  const end = text.indexOf('}');
  if (end < 0) return null;
  const start = text.lastIndexOf('{', end);
  if (start >= 0) return [start, end];
  // A closing brace without an opening one before it: a character, and groups may follow.
  const later = innermost(text.slice(end + 1));
  return later === null ? null : [later[0] + end + 1, later[1] + end + 1];
}

/** Slashes as they count: none in front, none doubled, none at the end, and no `.` folders. */
const tidy = (glob: string): string =>
  glob
    .normalize('NFC')
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/');

function compile(glob: string): Pattern {
  const tidied = tidy(glob);
  const segments = tidied.split('/');
  // `a/**` is what is below `a`, which `a` stands for already.
  while (segments.at(-1) === '**') segments.pop();
  if (segments.length === 0 || segments[0] === '') return { parts: [{ set: ANY, repeats: true }], covers: true };
  const parts: Part[] = [];
  for (const [i, segment] of segments.entries()) {
    if (segment === '**') {
      // With its slash it may be missing altogether: `a/**/b` means `a/b`, too.
      const after = parts.length + 2;
      parts.push({ set: ANY, repeats: true, skipTo: after }, { set: ONLY_SLASH, repeats: false });
      continue;
    }
    parts.push(...compileSegment(segment));
    if (i < segments.length - 1) parts.push({ set: ONLY_SLASH, repeats: false });
  }
  return { parts, covers: tidied.endsWith('/**') || !/[*?[]/.test(tidied) };
}

function compileSegment(segment: string): Part[] {
  const parts: Part[] = [];
  const characters = Array.from(segment);
  for (let i = 0; i < characters.length; i += 1) {
    const character = characters[i] ?? '';
    if (character === '*') {
      // `a**b` crosses folders in some tools and not in others: it is taken to do so.
      const isDouble = characters[i + 1] === '*';
      parts.push({ set: isDouble ? ANY : NOT_SLASH, repeats: true });
      while (characters[i + 1] === '*') i += 1;
    } else if (character === '?') parts.push({ set: NOT_SLASH, repeats: false });
    else if (character === '[') {
      const read = readClass(characters, i);
      parts.push(read === null ? literal('[') : read.part);
      if (read !== null) i = read.end;
    } else parts.push(literal(character));
  }
  return parts;
}

/** A class from its opening bracket on; null when it is never closed. */
function readClass(characters: readonly string[], start: number): { readonly part: Part; readonly end: number } | null {
  const negated = characters[start + 1] === '!' || characters[start + 1] === '^';
  const from = start + (negated ? 2 : 1);
  // A closing bracket that comes first belongs to the class.
  const end = characters.indexOf(']', from + 1);
  if (end < 0) return null;
  const set: Range[] = [];
  for (let i = from; i < end; i += 1) {
    const low = characters[i] ?? '';
    if (characters[i + 1] === '-' && i + 2 < end) {
      const high = characters[i + 2] ?? '';
      if (codeOf(high) >= 128 && codeOf(low) <= codeOf(high)) return { part: ANYTHING, end };
      set.push(...caselessRange(codeOf(low), codeOf(high)));
      i += 2;
    } else {
      const one = literal(low);
      if (one.repeats) return { part: ANYTHING, end };
      set.push(...one.set);
    }
  }
  // What a negated class leaves out in one case it may mean in the other.
  return { part: { set: negated ? NOT_SLASH : set, repeats: false }, end };
}

const codeOf = (character: string): number => character.codePointAt(0) ?? 0;

/** Any text within a folder: what stands for a character whose other case is several, such as ß and SS. */
const ANYTHING: Part = { set: NOT_SLASH, repeats: true };

/** One character, in any case. */
function literal(character: string): Part {
  const forms = new Set([character, character.toLowerCase(), character.toUpperCase(), character.toUpperCase().toLowerCase()]);
  if ([...forms].some((form) => Array.from(form).length !== 1)) return ANYTHING;
  return { set: [...forms].map((form) => [codeOf(form), codeOf(form)]), repeats: false };
}

function caselessRange(from: number, to: number): readonly Range[] {
  if (from > to) return [];
  const ranges: Range[] = [];
  for (let code = from; code <= to; code += 1) if (code !== SLASH) ranges.push(...literal(String.fromCodePoint(code)).set);
  return ranges;
}

const intersects = (a: CharacterSet, b: CharacterSet): boolean =>
  a.some(([from, to]) => b.some(([other, end]) => from <= end && other <= to));

/** Whether one path leads through both patterns, by walking through them side by side. */
function meet(one: Pattern, other: Pattern): boolean {
  const [a, b] = [one.parts, other.parts];
  const width = b.length + 1;
  const seen = new Uint8Array((a.length + 1) * width);
  const open: number[] = [];
  const visit = (i: number, j: number): void => {
    const at = i * width + j;
    if (seen[at] === 1) return;
    seen[at] = 1;
    open.push(at);
  };
  visit(0, 0);
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    const i = Math.floor(at / width);
    const j = at % width;
    // One is at its end: what the other goes on with may lie below it, if it goes on at a folder's edge.
    if (i === a.length && j === b.length) return true;
    if (i === a.length && one.covers && below(b, j)) return true;
    if (j === b.length && other.covers && below(a, i)) return true;
    const part = a[i];
    const against = b[j];
    if (part !== undefined) for (const next of skips(part, i)) visit(next, j);
    if (against !== undefined) for (const next of skips(against, j)) visit(i, next);
    if (part !== undefined && against !== undefined && intersects(part.set, against.set)) {
      for (const next of steps(part, i)) for (const also of steps(against, j)) visit(next, also);
    }
  }
  return false;
}

/** Where a pattern may stand without reading anything. */
const skips = (part: Part, at: number): readonly number[] => [
  ...(part.repeats ? [at + 1] : []),
  ...(part.skipTo === undefined ? [] : [part.skipTo]),
];
/** Where it may stand after one character. */
const steps = (part: Part, at: number): readonly number[] => (part.repeats ? [at, at + 1] : [at + 1]);

/** Whether the rest of a pattern can begin with a slash, or be nothing: then the other's end is this path or above it. */
function below(pattern: readonly Part[], at: number): boolean {
  const open = [at];
  const seen = new Set<number>();
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (seen.has(next)) continue;
    seen.add(next);
    const part = pattern[next];
    if (part === undefined) return true;
    if (intersects(part.set, ONLY_SLASH)) return true;
    open.push(...skips(part, next));
  }
  return false;
}
