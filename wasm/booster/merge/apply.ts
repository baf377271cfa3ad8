import type { Engine } from '../engine.ts';
import { LANGUAGES } from '../languages.ts';
import { APPLY_MAX_LENGTH, SOURCE_MAX_LENGTH } from '../limits.ts';
import { Context, Refusal } from './context.ts';
import { applyFull, looksFull } from './full.ts';
import { hasMarker, itemsOf } from './lazy.ts';
import { applyLazy, contentLines } from './lazy-style.ts';
import { applySearchReplace } from './search-replace.ts';
import { applySnippet } from './snippet.ts';
import { isMarkerLine } from './markers.ts';
import { applyUnmarked } from './unmarked.ts';
import { detectStyle, withoutFence } from './style.ts';
import { BOM, isBlank, normalizeEols, splitLines, withoutBom } from './text.ts';
import type { Applied, ApplyRequest, ApplyResult, EditStyle, Proofs } from './types.ts';
import { applyUnifiedDiff } from './unified-diff.ts';
import type { Outcome } from './outcome.ts';

const ALL_HOLD: Proofs = {
  parses: true,
  noMarkerLeft: true,
  declarationsKept: true,
  noNewDuplicates: true,
  editPresent: true,
  untouchedIdentical: true,
  idempotent: true,
};

/**
 * Puts an edit into its original, or says why not. It never guesses: an output is given out only if exactly one fits and
 * all proofs hold. Throws `EngineFault` if the engine broke; the original is a value, so nothing else can.
 */
export function apply(engine: Engine, request: ApplyRequest): ApplyResult {
  let style: EditStyle | null = request.style ?? null;
  try {
    const { language } = request;
    if (request.original.length > SOURCE_MAX_LENGTH || request.original.length + request.edit.length > APPLY_MAX_LENGTH) {
      throw new Refusal('too_large', 'original and edit are too large');
    }
    if (!engine.supports(language)) throw new Refusal('unsupported', `no grammar for ${language}`);
    const edit = normalizeEols(withoutBom(request.edit));
    if (edit.trim() === '') throw new Refusal('empty', 'the edit is empty');
    const original = withoutBom(request.original);
    const { texts, several } = withoutFence(splitLines(edit).texts);
    if (texts.every(isBlank)) throw new Refusal('empty', 'the edit is empty');
    if (several) throw new Refusal('unsupported', 'the edit holds several code blocks');
    const detected = style ?? detectStyle(texts, language);
    style = detected;
    return engine.session((session): ApplyResult => {
      const context = new Context(session, language, original, !edit.endsWith('\n'));
      const bare = request.style === undefined && isUnmarked(context, detected, texts);
      if (bare) style = looksFull(context, texts) ? 'full' : 'snippet';
      if (LANGUAGES[language].apply === 'text' && (style === 'lazy' || style === 'snippet')) {
        throw new Refusal('unsupported', `${style} edits of ${language} are not proved`);
      }
      if (BY_SHAPE.has(style ?? detected) && isCutOff(context, edit)) {
        throw new Refusal('does_not_parse', 'the edit stops in the middle of a line');
      }
      let outcome: Outcome;
      if (bare) ({ style, outcome } = applyUnmarked(context, texts, style === 'full'));
      else outcome = STYLES[detected](context, texts);
      const { proved, engine: merger } = outcome;
      const bom = request.original.startsWith(BOM) ? BOM : '';
      const applied: Applied = {
        ok: true,
        output: bom + proved.output,
        changed: proved.splices.length > 0,
        style: style ?? detected,
        engine: merger,
        proofs: ALL_HOLD,
        touched: proved.splices.map(({ start, end, text }) => ({ start: start + bom.length, end: end + bom.length, text })),
        removed: proved.removed,
      };
      return applied;
    });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { ok: false, reason: error.reason, style, detail: error.message, candidates: error.candidates };
  }
}

/** Styles that have no mark of their own to end with. */
const BY_SHAPE: ReadonlySet<EditStyle> = new Set(['lazy', 'snippet', 'full']);

/**
 * The last line has no end, and is the beginning of another one, of the original or of the edit: an answer that ran out of
 * room. So is one that stops in spaces.
 */
function isCutOff({ lines, prepared }: Context, edit: string): boolean {
  const last = edit.slice(edit.lastIndexOf('\n') + 1);
  if (last === '') return false;
  if (/\s$/.test(last)) return true;
  const start = last.trim();
  // A name alone does nothing; the keywords that do are lines of nearly every file.
  if (/^[A-Za-z_]\w*$/.test(start) && !/^(?:pass|return|break|continue|raise|yield|end)$/.test(start)) return true;
  const goesOn = (text: string): boolean => text.trim().length > start.length && text.trim().startsWith(start);
  return (
    (!prepared.ids.has(last.trimEnd()) && lines.texts.some(goesOn)) ||
    edit.split('\n').some((text) => isMarkerLine(text, 'javascript') && goesOn(text))
  );
}

/** With the original at hand: markers that are text of the file are none. */
function isUnmarked(context: Context, detected: EditStyle, texts: readonly string[]): boolean {
  if (detected === 'lazy') return !hasMarker(itemsOf(texts, context.language, contentLines(context, texts)));
  return detected === 'snippet';
}

const STYLES: Readonly<Record<EditStyle, (context: Context, texts: readonly string[]) => Outcome>> = {
  lazy: applyLazy,
  snippet: applySnippet,
  search_replace: applySearchReplace,
  unified_diff: applyUnifiedDiff,
  full: applyFull,
};
