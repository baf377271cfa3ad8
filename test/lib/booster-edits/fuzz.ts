import type { Engine } from '../../../wasm/booster/engine.ts';
import type { LanguageId } from '../../../wasm/booster/languages.ts';
import { apply } from '../../../wasm/booster/merge/apply.ts';
import { declarationsOf } from '../../../wasm/booster/merge/declarations.ts';
import { embeds, itemsOf } from '../../../wasm/booster/merge/lazy.ts';
import { compareDeclarations } from '../../../wasm/booster/merge/proofs.ts';
import { applySplices } from '../../../wasm/booster/merge/text.ts';
import type { EditStyle } from '../../../wasm/booster/merge/types.ts';
import type { Seeded } from '../seeded.ts';
import { linesOf } from './corpus.ts';
import { changesOf } from './diff.ts';
import { mutate } from './mutate.ts';
import { markerHabit, renderBlocks, renderDiff, renderShown, shownHunks, shownStructure } from './render.ts';
import { renderSnippet } from './snippet.ts';

export const HOSTILITIES = [
  'none',
  'dropped_context',
  'duplicates',
  'stale',
  'renamed_anchor',
  'line_ends',
  'unicode',
  'cut_off',
] as const;
export type Hostility = (typeof HOSTILITIES)[number];

/**
 * What came of one edit whose right output is known (docs/spec/booster.md, B60 and after):
 * exact, refused, or silent; `undetermined` where the edit itself fits an output that is at least as near to the original
 * as the one it was made from, and that is what came out.
 */
export type Verdict = 'exact' | 'refused' | 'undetermined' | 'silent' | 'skipped';

export interface Tried {
  readonly language: LanguageId;
  readonly style: EditStyle;
  readonly hostility: Hostility;
  readonly verdict: Verdict;
  readonly original: string;
  readonly edit: string;
  readonly wanted: string;
  readonly output: string;
}

export interface Source {
  readonly language: LanguageId;
  readonly text: string;
}

const STYLES: readonly EditStyle[] = ['lazy', 'lazy', 'snippet', 'search_replace', 'unified_diff', 'full'];

const parses = (engine: Engine, language: LanguageId, text: string): boolean =>
  engine.session((session) => {
    const parsed = session.parse(language, text);
    return typeof parsed !== 'string' && parsed.snapshot.errorCount === 0;
  });

/** Whether a text declares something twice that the other declares once: a copy whose name did not change is no commit. */
const declaresTwice = (engine: Engine, language: LanguageId, before: string, after: string): boolean =>
  engine.session((session) => {
    const [old, fresh] = [session.parse(language, before), session.parse(language, after)];
    if (typeof old === 'string' || typeof fresh === 'string') return true;
    const { duplicated } = compareDeclarations(declarationsOf(old.snapshot, language), declarationsOf(fresh.snapshot, language));
    return duplicated.length > 0;
  });

const joined = (lines: readonly string[]): string => `${lines.join('\n')}\n`;

/** One edit: a commit made up on a source, rendered in a style, with one thing made hard; and what `apply` did with it. */
export function tryOne(engine: Engine, sources: readonly Source[], random: Seeded): Tried | null {
  const { language, text } = random.pick(sources);
  const hostility = random.pick(HOSTILITIES);
  const style = random.pick(STYLES);
  let before = linesOf(text);
  if (hostility === 'duplicates') {
    // A stretch of whole lines twice, so that many lines have a twin.
    const at = random.int(0, before.length - 1);
    before = before.toSpliced(at, 0, ...before.slice(at, at + random.int(1, 12)));
    if (!parses(engine, language, joined(before))) return null;
  }
  if (hostility === 'unicode')
    before = before.map((line) => line.replace(/(["'])(?=\w)/, (quote) => (random.chance(0.2) ? `${quote}é😀` : quote)));
  const after = mutate(before, language, random);
  if (after === null || !parses(engine, language, joined(after)) || !parses(engine, language, joined(before))) return null;
  if (declaresTwice(engine, language, joined(before), joined(after))) return null;
  const changes = changesOf(before, after);
  if (changes === null || changes.length === 0) return null;

  const context = hostility === 'dropped_context' ? random.int(0, 1) : random.int(2, 3);
  let edit = rendered(engine, style, language, before, after, changes, context, random);
  if (edit === null) return null;
  if (hostility === 'cut_off') edit = edit.slice(0, random.int(Math.floor(edit.length / 3), edit.length - 2));

  let original = joined(before);
  const wanted = new Set([joined(after)]);
  if (hostility === 'stale' || hostility === 'renamed_anchor') {
    const at = staleLine(before, changes, hostility, random);
    if (at < 0) return null;
    const fresh = (before[at] ?? '').replace(/[A-Za-z_]\w{2,}(?=\()|(?<=^\s*)[A-Za-z_]\w{2,}/, (word) => `${word}Q`);
    if (fresh === before[at]) return null;
    original = joined(before.with(at, fresh));
    const moved = changes
      .filter(({ to }) => to <= at)
      .reduce((sum, { from, to, newFrom, newTo }) => sum + newTo - newFrom - (to - from), 0);
    const both = joined(after.with(at + moved, fresh));
    // A line that is merely another version may be shown, and what is shown holds; a name must not change back.
    if (hostility === 'renamed_anchor') wanted.clear();
    wanted.add(both);
    if (style === 'full') wanted.add(joined(after));
    if (!parses(engine, language, original)) return null;
  }
  if (hostility === 'line_ends') {
    const all = random.chance(0.5);
    original = original.replaceAll('\n', () => (all || random.chance(0.5) ? '\r\n' : '\n'));
    if (random.chance(0.3)) original = `\uFEFF${original}`;
  }
  const result = apply(engine, { original, edit, language });
  const first = [...wanted][0] ?? '';
  const tried = { language, style, hostility, original, edit, wanted: first, output: result.ok ? result.output : '' };
  if (!result.ok) return { ...tried, verdict: 'refused' };
  const plain = (value: string): string => value.replace(/^\uFEFF/, '').replaceAll('\r\n', '\n');
  const output = plain(result.output);
  // Untouched bytes stay, and the same edit changes nothing a second time.
  if (applySplices(original, result.touched) !== result.output) return { ...tried, verdict: 'silent' };
  const again = apply(engine, { original: result.output, edit, language });
  if (again.ok && again.output !== result.output) return { ...tried, verdict: 'silent' };
  if ([...wanted].some((each) => each === output)) return { ...tried, verdict: 'exact' };
  if (!result.changed) return { ...tried, verdict: 'undetermined' };
  const near = isAsNear(plain(original), output, first, hostility === 'cut_off' ? 2 : 0);
  const shown =
    style !== 'lazy' ||
    embeds(
      linesOf(output),
      itemsOf(linesOf(edit), language, () => false),
    );
  const written = hostility === 'cut_off' ? isPartOf(plain(original), output, first, edit) : style === 'lazy';
  return { ...tried, verdict: near && shown && written ? 'undetermined' : 'silent' };
}

function rendered(
  engine: Engine,
  style: EditStyle,
  language: LanguageId,
  before: readonly string[],
  after: readonly string[],
  changes: ReturnType<typeof changesOf> & object,
  context: number,
  random: Seeded,
): string | null {
  if (style === 'full') return joined(after);
  if (style === 'search_replace') return renderBlocks(before, after, changes);
  if (style === 'unified_diff')
    return renderDiff(before, after, changes, Math.max(1, context), random.chance(0.2) ? null : random.int(-20, 80));
  if (style === 'snippet') return renderSnippet(engine, language, joined(before), after, changes, random);
  const habit = { ...markerHabit(random, language), edges: true };
  const shown = random.chance(0.5) ? shownHunks(after, changes, context) : shownStructure(after, changes, context);
  return renderShown(after, shown, habit);
}

/** A line away from the changes: any statement, or one that names a declaration. */
function staleLine(
  before: readonly string[],
  changes: ReturnType<typeof changesOf> & object,
  hostility: Hostility,
  random: Seeded,
): number {
  const wanted =
    hostility === 'stale'
      ? /^\s+[\w.]+\(.*\);?$/
      : /^\s*(?:export |pub |public |async )*(?:function|def|func|fn|class|interface) \w+/;
  const found = before.flatMap((text, at) =>
    wanted.test(text) && !changes.some(({ from, to }) => at >= from - 1 && at <= to) ? [at] : [],
  );
  return found.length === 0 ? -1 : random.pick(found);
}

function isAsNear(original: string, output: string, wanted: string, slack: number): boolean {
  const size = (text: string): number =>
    (changesOf(linesOf(original), linesOf(text), 2_000) ?? []).reduce(
      (sum, { from, to, newFrom, newTo }) => sum + to - from + newTo - newFrom,
      0,
    );
  return size(output) <= size(wanted) + slack;
}

/** Of a cut-off edit: nothing is lost that the whole edit keeps, and nothing came that it does not say. */
function isPartOf(original: string, output: string, wanted: string, edit: string): boolean {
  const counts = (text: string): Map<string, number> => {
    const lines = new Map<string, number>();
    for (const line of linesOf(text)) lines.set(line.trim(), (lines.get(line.trim()) ?? 0) + 1);
    return lines;
  };
  const [old, now, then] = [counts(original), counts(output), counts(wanted)];
  for (const [line, count] of old) if ((now.get(line) ?? 0) < Math.min(count, then.get(line) ?? 0)) return false;
  for (const [line, count] of now) {
    if (line !== '' && count > Math.max(old.get(line) ?? 0, then.get(line) ?? 0) && !edit.includes(line)) return false;
  }
  return true;
}
