import { LIMITS } from './limits.ts';

/** What the booster does itself: exact, proved, without a model. */
export const BOOSTER_OPERATIONS = [
  'apply',
  'outline',
  'check',
  'query',
  'search',
  'rewrite',
  'rename',
  'imports',
  'diff',
  'metrics',
  'scaffold',
] as const;
/** Code work that takes judgement: it goes to an agent, so it needs `fallback`. */
export const AGENT_OPERATIONS = ['generate', 'refactor', 'fix', 'review', 'test', 'document', 'explain'] as const;
export type BoosterOperation = (typeof BOOSTER_OPERATIONS)[number] | (typeof AGENT_OPERATIONS)[number];

/** How an edit may be written. */
export const EDIT_STYLES = ['lazy', 'snippet', 'search_replace', 'unified_diff', 'full'] as const;

/**
 * Why the booster did not do it. `fault` is the one that is not about the input: the engine failed and was replaced, or did
 * not answer.
 */
export const BOOSTER_REASONS = [
  'ambiguous',
  'not_found',
  'stale',
  'does_not_parse',
  'proof_failed',
  'unsupported',
  'too_large',
  'budget',
  'empty',
  'not_code',
  'fault',
] as const;
export type BoosterReason = (typeof BOOSTER_REASONS)[number];

/** Extensions of the languages that the booster reads, for whoever looks for files to give it. */
export const BOOSTER_EXTENSIONS: readonly string[] =
  'js mjs cjs jsx ts mts cts tsx py pyi pyw go rs java json jsonc css html htm xhtml c h cc cpp cxx hpp hh hxx cs rb rake gemspec ru php phtml sh bash'.split(
    ' ',
  );

const FOR_AGENTS: ReadonlySet<BoosterOperation> = new Set(AGENT_OPERATIONS);

/**
 * Where code work goes. What can be done exactly and proved goes to the booster; what takes judgement is standard work of
 * agents.
 */
export const routeOf = (operation: BoosterOperation): 'booster' | 'agent' => (FOR_AGENTS.has(operation) ? 'agent' : 'booster');

/**
 * Reasons that an agent could mend, with more context or with judgement. Not `empty`: nothing was asked, and an agent would
 * have to make it up.
 */
export const isMendable = (reason: BoosterReason): boolean => reason !== 'empty';

/** The two texts that make up nearly all of an operation. */
interface Texts {
  readonly original?: string | undefined;
  readonly edit?: string | undefined;
}

/** UTF-16 units of an operation's texts: what bounds are counted in. */
export const charsOf = ({ original, edit }: Texts): number => (original?.length ?? 0) + (edit?.length ?? 0);

/** The refusal of texts that no engine should be given, before they travel; null when they are of a size. */
export function tooLarge(task: Texts): { readonly reason: 'too_large'; readonly detail: string } | null {
  const longest = Math.max(task.original?.length ?? 0, task.edit?.length ?? 0);
  if (longest > LIMITS.boosterFileChars) {
    return { reason: 'too_large', detail: `A text has ${longest} characters; at most ${LIMITS.boosterFileChars} are taken.` };
  }
  const chars = charsOf(task);
  if (chars <= LIMITS.boosterTaskChars) return null;
  return {
    reason: 'too_large',
    detail: `Original and edit have ${chars} characters together; at most ${LIMITS.boosterTaskChars} are taken.`,
  };
}
