import type { LanguageId } from '../../../wasm/booster/languages.ts';
import type { Seeded } from '../seeded.ts';

const STATEMENTS: Partial<Readonly<Record<LanguageId, (name: string) => string>>> = {
  python: (name) => `${name} = measure("${name}")`,
  go: (name) => `${name} := measure("${name}")`,
  rust: (name) => `let ${name} = measure("${name}");`,
  java: (name) => `var ${name} = measure("${name}");`,
};

const blank = (text: string): boolean => text.trim() === '';

/** A line that is a statement of its own, as far as a line can tell. */
const isStatement = (text: string): boolean =>
  /^\s+(?:[\w$.#[\]]+ ?[-+*/]?= .*|[\w$.#]+\(.*\)|return .*|const .*|let .*|self\..*|throw .*|raise .*)[;]?$/.test(text) &&
  !/[{([,]$/.test(text);

/** Changes a commit might make; each answers null where it finds nothing to change. */
const MUTATIONS: readonly ((lines: string[], language: LanguageId, random: Seeded) => string[] | null)[] = [
  // A word of a statement.
  (lines, _language, random) => {
    const at = pick(lines, random, isStatement);
    if (at < 0) return null;
    const words = [...(lines[at] ?? '').matchAll(/[A-Za-z_]\w{2,}|\d+/g)];
    if (words.length === 0) return null;
    const word = random.pick(words);
    const text = lines[at] ?? '';
    const changed = `${text.slice(0, word.index)}${word[0]}${/^\d/.test(word[0]) ? random.int(0, 9) : random.pick(['X', '2', 'Next', 'Ω'])}${text.slice(word.index + word[0].length)}`;
    return lines.with(at, changed);
  },
  // A new statement.
  (lines, language, random) => {
    const at = pick(lines, random, isStatement);
    if (at < 0) return null;
    const indent = /^\s*/.exec(lines[at] ?? '')?.[0] ?? '';
    const make = STATEMENTS[language] ?? ((name: string): string => `const ${name} = measure('${name}');`);
    const count = random.int(1, 3);
    const fresh = Array.from({ length: count }, () => indent + make(`v${random.int(100, 99_999)}`));
    return lines.toSpliced(at, 0, ...fresh);
  },
  // A statement less.
  (lines, _language, random) => {
    const at = pick(lines, random, (text) => isStatement(text) && !/return|throw|raise/.test(text));
    return at < 0 ? null : lines.toSpliced(at, 1);
  },
  // A copy of a block under another name.
  (lines, _language, random) => {
    const at = pick(lines, random, (text) => /\b(?:function|def|func|fn|public)\b.*\b\w+\(.*[{:]$/.test(text));
    if (at < 0) return null;
    const depth = (text: string): number => /^\s*/.exec(text)?.[0].length ?? 0;
    const own = depth(lines[at] ?? '');
    let end = at + 1;
    while (end < lines.length && (blank(lines[end] ?? '') || depth(lines[end] ?? '') > own)) end += 1;
    if (/^\s*\}/.test(lines[end] ?? '')) end += 1;
    while (blank(lines[end - 1] ?? '')) end -= 1;
    const header = (lines[at] ?? '').replace(
      /(\w+)\(/,
      (_all, name: string) => `${name}${random.pick(['Again', 'Twice', 'Other'])}(`,
    );
    return lines.toSpliced(end, 0, '', header, ...lines.slice(at + 1, end));
  },
];

function pick(lines: readonly string[], random: Seeded, wanted: (text: string) => boolean): number {
  const found = lines.flatMap((text, at) => (wanted(text) ? [at] : []));
  return found.length === 0 ? -1 : random.pick(found);
}

/** The lines after one to three small changes; null if nothing could be changed. */
export function mutate(lines: readonly string[], language: LanguageId, random: Seeded): string[] | null {
  let result: string[] = [...lines];
  for (let left = random.weighted({ 1: 6, 2: 3, 3: 1 }) as unknown as number; left > 0; left -= 1) {
    const next = random.pick(MUTATIONS)(result, language, random);
    if (next !== null) result = next;
  }
  return result.length === lines.length && result.every((text, at) => text === lines[at]) ? null : result;
}
