import type { Session } from '../engine.ts';
import type { LanguageId } from '../languages.ts';
import { metricsTable } from './metrics-table.ts';
import { isName } from './names.ts';
import { declarationsOf } from './outline.ts';
import { PROOF } from './proofs.ts';
import { parsedOrRefuse, refuse, success } from './result.ts';
import { JAVASCRIPT_TEMPLATES, TYPESCRIPT_TEMPLATES } from './scaffold/ecma.ts';
import { GO_TEMPLATES } from './scaffold/go.ts';
import { JAVA_TEMPLATES } from './scaffold/java.ts';
import { type Blank, camel, type Parameter, pascal, snake, type Templates, wordsOf } from './scaffold/model.ts';
import { PYTHON_TEMPLATES } from './scaffold/python.ts';
import { RUST_TEMPLATES } from './scaffold/rust.ts';
import { type BoosterResult, SCAFFOLD_KINDS, type ScaffoldKind, type ScaffoldTemplate } from './task.ts';

const TEMPLATES: Partial<Readonly<Record<LanguageId, Templates>>> = {
  javascript: JAVASCRIPT_TEMPLATES,
  typescript: TYPESCRIPT_TEMPLATES,
  tsx: TYPESCRIPT_TEMPLATES,
  python: PYTHON_TEMPLATES,
  go: GO_TEMPLATES,
  rust: RUST_TEMPLATES,
  java: JAVA_TEMPLATES,
};

export const SCAFFOLD_PARAMETERS_MAX = 32;
export const SCAFFOLD_DESCRIPTION_MAX = 2_000;
const WORDS_MAX_LENGTH = 64;
const TYPE_MAX_LENGTH = 200;

/** Fills a template of the language. The same template and names always give the same text. */
export function scaffold(session: Session, language: LanguageId, template: ScaffoldTemplate): BoosterResult<string> {
  const kind = SCAFFOLD_KINDS.find((one) => one === template.kind);
  if (kind === undefined) return refuse('unsupported', `kinds of template are ${SCAFFOLD_KINDS.join(', ')}`);
  const fill = TEMPLATES[language]?.[kind];
  if (fill === null || fill === undefined) return refuse('unsupported', `no template '${kind}' for ${language}`);
  const blank = blankOf(language, template);
  const text = fill(blank);
  const { snapshot: tree } = parsedOrRefuse(session.parse(language, text));
  if (tree.errorCount > 0) refuse('does_not_parse', 'a type or name is not one of the language');
  const declarations = declarationsOf(tree);
  const main = declarations.find((one) => NAMES[kind](blank.words).includes(one.name));
  if (kind !== 'test' && main === undefined) refuse('proof_failed', 'the result does not declare what was asked for');
  if (
    kind === 'function' &&
    declarations.every((one) => metricsTable(language).parametersOf(tree, one.node) !== blank.parameters.length)
  ) {
    refuse('does_not_parse', 'a type is more than one type');
  }
  return success(text, [PROOF.parses, PROOF.declarations]);
}

/** The names that a template of the kind may declare. */
const NAMES: Readonly<Record<ScaffoldKind, (words: readonly string[]) => readonly string[]>> = {
  function: (words) => [camel(words), pascal(words), snake(words)],
  class: (words) => [pascal(words)],
  interface: (words) => [pascal(words)],
  test: () => [],
  'http-handler': (words) => [camel(words), snake(words), `${pascal(words)}Handler`],
  cli: () => ['main'],
};

function blankOf(language: LanguageId, { name, parameters = [], returns, description }: ScaffoldTemplate): Blank {
  if (parameters.length > SCAFFOLD_PARAMETERS_MAX) refuse('too_large', `at most ${SCAFFOLD_PARAMETERS_MAX} parameters`);
  const checked = parameters.map((one): Parameter => ({ words: checkedWords(language, one.name), type: checkedType(one.type) }));
  const names = checked.map(({ words }) => snake(words));
  const twice = names.find((one, index) => names.indexOf(one) !== index);
  if (twice !== undefined) refuse('ambiguous', `two parameters are called '${twice}'`);
  return {
    words: checkedWords(language, name),
    parameters: checked,
    returns: checkedType(returns),
    description: checkedDescription(description),
  };
}

function checkedWords(language: LanguageId, name: string): readonly string[] {
  if (name.trim() === '') refuse('empty', 'a name is missing');
  const words = /^[A-Za-z][A-Za-z0-9 _-]*$/.test(name) && name.length <= WORDS_MAX_LENGTH ? wordsOf(name) : [];
  const usable = words.length > 0 && [camel(words), pascal(words), snake(words)].every((one) => isName(language, one));
  return usable ? words : refuse('not_code', `'${name.slice(0, 80)}' cannot be a name in ${language}`);
}

/** Names, dots, and the brackets and marks of types; nothing that could end a type and begin something else. */
function checkedType(type: string | undefined): string | null {
  if (type === undefined || type.trim() === '') return null;
  const text = type.trim();
  const brackets = text.replaceAll(/[^[\]<>]/g, '').replaceAll(/[[<]/g, '(');
  const balanced =
    brackets
      .replaceAll(/[\]>]/g, ')')
      .split('')
      .reduce((depth, one) => (depth < 0 ? depth : depth + (one === '(' ? 1 : -1)), 0) === 0;
  if (
    text.length > TYPE_MAX_LENGTH ||
    !balanced ||
    !/^[\p{L}_*&[\]][\p{L}\p{N}_ .,<>[\]|&*?:']*$/u.test(text) ||
    /[?,:|]$|::$/.test(text.replace(/\?$/, ''))
  ) {
    refuse('not_code', `'${text.slice(0, 80)}' cannot be a type`);
  }
  return text;
}

function checkedDescription(description: string | undefined): readonly string[] {
  const text = (description ?? '').trim();
  if (text === '') return [];
  if (text.length > SCAFFOLD_DESCRIPTION_MAX)
    refuse('too_large', `a description has at most ${SCAFFOLD_DESCRIPTION_MAX} characters`);
  // What ends a comment or docstring, and the escapes that Java and Python read even there.
  // eslint-disable-next-line no-control-regex -- control characters are what must not get into the code
  if (/\*\/|"""|"$|\\|[\u0000-\u0009\u000b\u000c\u000e-\u001f\u007f\u0085\u2028\u2029]/.test(text)) {
    refuse('not_code', 'a description holds no backslash, triple quote, end of a comment, last quote or control character');
  }
  return text.split(/\r\n|\r|\n/).map((line) => line.trim());
}
