import type { LanguageId } from '../../languages.ts';
import type { Snapshot } from '../../snapshot.ts';
import { ecmaScopes } from './ecma.ts';
import { goScopes } from './go.ts';
import { javaScopes } from './java.ts';
import type { ScopeModel } from './model.ts';
import { pythonScopes } from './python.ts';
import { rustScopes } from './rust.ts';

const ANALYSERS: Partial<Readonly<Record<LanguageId, (tree: Snapshot) => ScopeModel>>> = {
  javascript: ecmaScopes,
  typescript: ecmaScopes,
  tsx: ecmaScopes,
  python: pythonScopes,
  go: goScopes,
  rust: rustScopes,
  java: javaScopes,
};

/** The scopes of a source, or null for a language without an analyser. */
export const analyseScopes = (tree: Snapshot): ScopeModel | null => ANALYSERS[tree.grammar.id]?.(tree) ?? null;
