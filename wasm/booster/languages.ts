export const LANGUAGE_IDS = [
  'javascript',
  'typescript',
  'tsx',
  'python',
  'go',
  'rust',
  'java',
  'json',
  'css',
  'html',
  'c',
  'cpp',
  'csharp',
  'ruby',
  'php',
  'bash',
] as const;

export type LanguageId = (typeof LANGUAGE_IDS)[number];

/**
 * How far `apply` is proved for a language: `full` with all five edit styles, `text` with SEARCH/REPLACE blocks, unified
 * diffs and full rewrites, whose place does not depend on what the code means.
 */
export type ApplyLevel = 'full' | 'text';

export interface LanguageInfo {
  readonly extensions: readonly string[];
  readonly aliases: readonly string[];
  readonly apply: ApplyLevel;
  /** Line comments begin with one of these; empty where the language has none. */
  readonly lineComments: readonly string[];
}

export const LANGUAGES: Readonly<Record<LanguageId, LanguageInfo>> = {
  javascript: {
    extensions: ['js', 'mjs', 'cjs', 'jsx'],
    aliases: ['js', 'jsx', 'node', 'ecmascript'],
    apply: 'full',
    lineComments: ['//'],
  },
  typescript: { extensions: ['ts', 'mts', 'cts'], aliases: ['ts'], apply: 'full', lineComments: ['//'] },
  tsx: { extensions: ['tsx'], aliases: ['typescriptreact'], apply: 'full', lineComments: ['//'] },
  python: { extensions: ['py', 'pyi', 'pyw'], aliases: ['py', 'python3'], apply: 'full', lineComments: ['#'] },
  go: { extensions: ['go'], aliases: ['golang'], apply: 'full', lineComments: ['//'] },
  rust: { extensions: ['rs'], aliases: ['rs'], apply: 'full', lineComments: ['//'] },
  java: { extensions: ['java'], aliases: [], apply: 'full', lineComments: ['//'] },
  json: { extensions: ['json', 'jsonc'], aliases: ['jsonc'], apply: 'text', lineComments: ['//'] },
  css: { extensions: ['css'], aliases: [], apply: 'text', lineComments: [] },
  html: { extensions: ['html', 'htm', 'xhtml'], aliases: ['htm'], apply: 'text', lineComments: [] },
  c: { extensions: ['c', 'h'], aliases: [], apply: 'text', lineComments: ['//'] },
  cpp: {
    extensions: ['cc', 'cpp', 'cxx', 'hpp', 'hh', 'hxx'],
    aliases: ['c++', 'cxx', 'cc'],
    apply: 'text',
    lineComments: ['//'],
  },
  csharp: { extensions: ['cs'], aliases: ['c#', 'cs', 'c-sharp', 'c_sharp'], apply: 'text', lineComments: ['//'] },
  ruby: { extensions: ['rb', 'rake', 'gemspec', 'ru'], aliases: ['rb'], apply: 'text', lineComments: ['#'] },
  php: { extensions: ['php', 'phtml'], aliases: [], apply: 'text', lineComments: ['//', '#'] },
  bash: { extensions: ['sh', 'bash'], aliases: ['sh', 'shell', 'shellscript'], apply: 'text', lineComments: ['#'] },
};

const BY_NAME = new Map<string, LanguageId>();
const BY_EXTENSION = new Map<string, LanguageId>();
for (const id of LANGUAGE_IDS) {
  for (const name of [id, ...LANGUAGES[id].aliases]) BY_NAME.set(name, id);
  for (const extension of LANGUAGES[id].extensions) BY_EXTENSION.set(extension, id);
}

/** The language of an id or alias in any case; null if it is none of ours. */
export const languageByName = (name: string): LanguageId | null => BY_NAME.get(name.trim().toLowerCase()) ?? null;

/** The language of a file name, by its last extension; null if it is none of ours. */
export function languageByPath(path: string): LanguageId | null {
  const name = path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1);
  const dot = name.lastIndexOf('.');
  return dot < 0 ? null : (BY_EXTENSION.get(name.slice(dot + 1).toLowerCase()) ?? null);
}

/** What a caller named, the language before the path. */
export function resolveLanguage(named: {
  readonly language?: string | undefined;
  readonly path?: string | undefined;
}): LanguageId | null {
  if (named.language !== undefined) return languageByName(named.language);
  return named.path === undefined ? null : languageByPath(named.path);
}
