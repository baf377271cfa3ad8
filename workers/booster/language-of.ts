import type { Engine } from '../../wasm/booster/engine.ts';
import type { LanguageId } from '../../wasm/booster/languages.ts';

/** What only one language's files look like, in the order in which the looks exclude each other. */
const LOOKS: readonly (readonly [LanguageId, RegExp])[] = [
  ['php', /^\s*<\?php\b/],
  ['html', /^\s*<(?:!doctype\s+html|html|head|body|template|div|section)\b/i],
  ['bash', /^#!.*\b(?:ba|z|k)?sh\b/],
  ['python', /^#!.*\bpython/],
  ['json', /^\s*[[{]\s*(?:["\]}[{]|-?\d|true\b|false\b|null\b)/],
  ['go', /^\s*package\s+\w+\s*$/m],
  ['java', /^\s*(?:package\s+[\w.]+;|import\s+(?:static\s+)?[\w.*]+;)/m],
  ['csharp', /^\s*(?:using\s+[\w.]+;|namespace\s+[\w.]+)/m],
  ['cpp', /^\s*(?:#include\s*<\w+>|template\s*<|namespace\s+\w+\s*\{|using\s+namespace\b)/m],
  ['c', /^\s*#include\b/m],
  ['rust', /^\s*(?:pub\s+)?(?:fn\s+\w+|impl\b|use\s+[\w:]+(?:::\{[^}]*\})?;|mod\s+\w+)|\blet\s+mut\b/m],
  ['python', /^\s*(?:(?:async\s+)?def\s+\w+\s*\(.*\)\s*(?:->.*)?:|from\s+[\w.]+\s+import\b|class\s+\w+.*:)\s*(?:#.*)?$/m],
  ['ruby', /^\s*(?:require(?:_relative)?\s+['"]|def\s+[\w.?!=]+|module\s+[A-Z]\w*|class\s+[A-Z]\w*(?:\s*<\s*[\w:]+)?\s*$)/m],
  ['java', /\b(?:public|private|protected)\s+(?:static\s+|final\s+)*(?:class|interface|enum|void)\b/],
  ['typescript', /^\s*(?:export\s+)?(?:interface\s+\w+|type\s+\w+\s*=|enum\s+\w+|declare\s)/m],
  ['css', /^\s*(?:[.#@*:][\w-]*|[a-z][\w-]*)[^{};()='"]*\{\s*[\w-]+\s*:[^{}]*;\s*\}/m],
];

/** Tried when no look decides; JavaScript before its supersets, which read it too. */
const COMMON: readonly LanguageId[] = ['javascript', 'typescript', 'tsx', 'python', 'go', 'rust', 'java'];

/** Languages that a file without a name is tried in, in this order. */
export function likelyLanguages(source: string): readonly LanguageId[] {
  const head = source.slice(0, 16_384);
  return [...new Set([...LOOKS.filter(([, look]) => look.test(head)).map(([language]) => language), ...COMMON])];
}

/**
 * The language of a file without a name: what it looks like, and failing that what is common, if its grammar reads all of it
 * without an error. Null when no grammar does: a guess could change how an edit is read.
 */
export function languageOf(engine: Engine, source: string): LanguageId | null {
  if (source.trim() === '') return null;
  return engine.session((session) => {
    for (const language of likelyLanguages(source)) {
      if (!engine.supports(language)) continue;
      const parsed = session.parse(language, source);
      if (typeof parsed !== 'string' && !parsed.tree.rootNode.hasError) return language;
    }
    return null;
  });
}
