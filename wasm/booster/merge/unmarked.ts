import { LANGUAGES } from '../languages.ts';
import type { Snapshot } from '../snapshot.ts';
import { type Context, Refusal } from './context.ts';
import type { Declaration } from './declarations.ts';
import { applyFull, FULL_SHARE, keptShare } from './full.ts';
import { isGivenUp, isImport, namesMissed } from './missing-names.ts';
import type { Outcome } from './outcome.ts';
import { applySnippet, byDefinitions, isLocal } from './snippet.ts';
import { isBlank } from './text.ts';
import { headOf, Side } from './tree-match.ts';
import type { EditStyle } from './types.ts';

/**
 * An edit without markers of which nobody says the style: the whole file, or definitions of it? Both readings are made. If
 * they come to the same, that is it. Else what the whole file would drop decides: an import or a definition that its own
 * code goes on using, or outermost code that it does not show, was not meant to go; a text that begins as the file does, and
 * drops nothing of it, is the file. What is left is ambiguous: a file of one function, say, and that function without the
 * comment over it.
 */
export function applyUnmarked(
  context: Context,
  texts: readonly string[],
  /** `looksFull`: it holds most of the file's lines. */
  likely: boolean,
): { readonly style: EditStyle; readonly outcome: Outcome } {
  // Definitions of these languages are not proved: nothing competes with the file.
  if (LANGUAGES[context.language].apply === 'text') return { style: 'full', outcome: applyFull(context, texts) };
  const file = attempt(() => applyFull(context, texts));
  // Lines put among lines are no rival of what holds most of them.
  const part = attempt(() => (likely ? definitionsAlone(context, texts) : applySnippet(context, texts)));
  if (file instanceof Refusal) {
    if (likely) throw file;
    return { style: 'snippet', outcome: resolved(part) };
  }
  const drops = dropsOf(context, file);
  if (part === null || part instanceof Refusal) {
    if (likely || drops === 'nothing') return { style: 'full', outcome: file };
    return { style: 'snippet', outcome: resolved(part) };
  }
  if (part.proved.output === file.proved.output) return { style: likely ? 'full' : 'snippet', outcome: part };
  if (drops === 'used' || (drops === 'code' && keptShare(context, texts) < FULL_SHARE))
    return { style: 'snippet', outcome: part };
  if (likely && drops === 'nothing' && firstLine(texts) === firstLine(context.lines.texts))
    return { style: 'full', outcome: file };
  throw new Refusal('ambiguous', 'the edit may be the whole file or a part of it: name its style');
}

/** The definitions by name, or null if the edit is something else. */
function definitionsAlone(context: Context, texts: readonly string[]): Outcome | null {
  if (context.parsed.snapshot.errorCount > 0) return null;
  const proved = byDefinitions(
    context,
    texts.slice(
      texts.findIndex((text) => !isBlank(text)),
      texts.findLastIndex((text) => !isBlank(text)) + 1,
    ),
  );
  return proved === null ? null : { proved, engine: 'tree' };
}

function attempt<Result>(work: () => Result): Result | Refusal {
  try {
    return work();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
}

function resolved(outcome: Outcome | Refusal | null): Outcome {
  if (outcome instanceof Refusal) throw outcome;
  if (outcome === null) throw new Refusal('not_found', 'the edit has no place in the original');
  return outcome;
}

const firstLine = (texts: readonly string[]): string => texts.find((text) => !isBlank(text))?.trimEnd() ?? '';

/** What the original has outermost and a rewrite has not: something that the rewrite still uses, other code, or neither. */
function dropsOf(context: Context, { proved }: Outcome): 'used' | 'code' | 'nothing' {
  const before = context.parsed.snapshot;
  if (namesMissed(before, proved.after, context.language).length > 0) return 'used';
  const [old, fresh] = [new Side(before, context.language, context.declarations), new Side(proved.after, context.language)];
  const told = outermostOf(fresh);
  const nodes = before
    .namedChildren(0)
    .filter((node) => !old.isComment(node) && !isImport(before, node) && !isDirective(before, node));
  // A file of imports alone has nothing that could tell.
  if (nodes.length === 0) return 'code';
  const isMeant = (declaration: Declaration): boolean => isGivenUp(before, declaration, proved.after, context.language);
  const lost = context.declarations.filter(({ path }) => proved.removed.includes(path));
  if (!lost.every((declaration) => isLocal(context, declaration) || isMeant(declaration))) return 'code';
  return nodes.every((node) => {
    if (saidBy(old, node).some((said) => told.has(said))) return true;
    const declared = context.declarations.find(({ outer }) => outer === node);
    return declared !== undefined && isMeant(declared);
  })
    ? 'nothing'
    : 'code';
}

/** `'use strict';` */
const isDirective = (snapshot: Snapshot, node: number): boolean =>
  snapshot.type(node) === 'expression_statement' && /^(['"])use \w+\1;?$/.test(snapshot.text(node));

const outermostOf = (side: Side): Set<string> =>
  new Set(side.snapshot.namedChildren(0).flatMap((node) => (side.isComment(node) ? [] : saidBy(side, node))));

/** What a node declares, is about, and says. */
function saidBy(side: Side, node: number): string[] {
  const key = side.key(node);
  if (key !== undefined) return [`key ${key.replace(/[!@(].*$/, '')}`];
  const head = headOf(side.snapshot, node);
  return [...(head === null ? [] : [`head ${head}`]), side.text(node)];
}
