/** What the analysers must know of a language to tell code from comments and strings. */
export interface Language {
  readonly name: string;
  /** Begins a comment that runs to the end of the line. */
  readonly lineComments: readonly string[];
  readonly blockComments: readonly (readonly [open: string, close: string])[];
  /** Quotes of strings that end on their own line; a backslash escapes. */
  readonly quotes: readonly string[];
  /** Quotes of strings that may span lines, longest first. */
  readonly longQuotes: readonly string[];
  /** Template literals with `${…}` and regular expression literals. */
  readonly isScript: boolean;
  /** How blocks are written; `none` for data without any. */
  readonly blocks: 'braces' | 'indentation' | 'none';
}

const C_LIKE = {
  lineComments: ['//'],
  blockComments: [['/*', '*/']],
  quotes: ['"', "'"],
  longQuotes: [],
  isScript: false,
  blocks: 'braces',
} as const;
const HASH = { ...C_LIKE, lineComments: ['#'], blockComments: [], blocks: 'none' } as const;
const SCRIPT = { ...C_LIKE, isScript: true, longQuotes: ['`'] } as const;

const LANGUAGES = {
  javascript: { name: 'javascript', ...SCRIPT },
  typescript: { name: 'typescript', ...SCRIPT },
  css: { name: 'css', ...C_LIKE, lineComments: [] },
  scss: { name: 'scss', ...C_LIKE },
  json: { name: 'json', ...C_LIKE, lineComments: [], blockComments: [], quotes: ['"'] },
  jsonc: { name: 'jsonc', ...C_LIKE, quotes: ['"'] },
  python: { name: 'python', ...HASH, longQuotes: ['"""', "'''"], blocks: 'indentation' },
  shell: { name: 'shell', ...HASH, quotes: [], longQuotes: ['"', "'"] },
  toml: { name: 'toml', ...HASH, longQuotes: ['"""', "'''"] },
  yaml: { name: 'yaml', ...HASH },
  html: { name: 'html', ...C_LIKE, lineComments: [], blockComments: [['<!--', '-->']], quotes: [], blocks: 'none' },
  sql: { name: 'sql', ...C_LIKE, lineComments: ['--'], quotes: [], longQuotes: ["'", '"'], blocks: 'none' },
  // A quote alone is a lifetime in Rust.
  rust: { name: 'rust', ...C_LIKE, quotes: [], longQuotes: ['"'] },
  go: { name: 'go', ...C_LIKE, longQuotes: ['`'] },
  java: { name: 'java', ...C_LIKE, longQuotes: ['"""'] },
  kotlin: { name: 'kotlin', ...C_LIKE, longQuotes: ['"""'] },
  swift: { name: 'swift', ...C_LIKE, longQuotes: ['"""'] },
  c: { name: 'c', ...C_LIKE },
  'c++': { name: 'c++', ...C_LIKE },
  'c#': { name: 'c#', ...C_LIKE },
  php: { name: 'php', ...C_LIKE, lineComments: ['//', '#'], quotes: [], longQuotes: ['"', "'"] },
  ruby: { name: 'ruby', ...HASH },
} as const satisfies Readonly<Record<string, Language>>;

const BY_EXTENSION: ReadonlyMap<string, Language> = new Map(
  Object.entries({
    js: 'javascript',
    mjs: 'javascript',
    cjs: 'javascript',
    jsx: 'javascript',
    ts: 'typescript',
    mts: 'typescript',
    cts: 'typescript',
    tsx: 'typescript',
    css: 'css',
    scss: 'scss',
    json: 'json',
    jsonc: 'jsonc',
    py: 'python',
    pyi: 'python',
    sh: 'shell',
    bash: 'shell',
    toml: 'toml',
    yaml: 'yaml',
    yml: 'yaml',
    html: 'html',
    htm: 'html',
    sql: 'sql',
    rs: 'rust',
    go: 'go',
    java: 'java',
    kt: 'kotlin',
    swift: 'swift',
    c: 'c',
    h: 'c',
    cc: 'c++',
    cpp: 'c++',
    hpp: 'c++',
    cs: 'c#',
    php: 'php',
    rb: 'ruby',
  } as const).map(([extension, name]) => [extension, LANGUAGES[name]]),
);

/** Files that are JSON with comments by custom. */
const COMMENTED_JSON = /^(?:[tj]sconfig(?:\..+)?|devcontainer|\.?oxlintrc|api-extractor)\.json$/;

/** The language of a file by its name, `null` when it is none we analyse. */
export function languageOf(path: string): Language | null {
  const name = path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1).toLowerCase();
  if (COMMENTED_JSON.test(name)) return LANGUAGES.jsonc;
  const dot = name.lastIndexOf('.');
  return dot < 1 ? null : (BY_EXTENSION.get(name.slice(dot + 1)) ?? null);
}
