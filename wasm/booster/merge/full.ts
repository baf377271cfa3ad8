import { type Context, isFailure, Refusal } from './context.ts';
import type { Outcome } from './outcome.ts';
import { isBlank, type OutLine } from './text.ts';

/** Share of the original's lines that a text without markers must hold to be taken for the whole file. */
const FULL_SHARE = 0.55;

/** Whether an edit without markers is the whole file: it begins as the file does, and holds most of its lines. */
export function looksFull(context: Context, texts: readonly string[]): boolean {
  const original = context.lines.texts.filter((text) => !isBlank(text));
  if (original.length === 0) return true;
  const first = texts.find((text) => !isBlank(text));
  const held = new Set(texts.map((text) => text.trimEnd()));
  const kept = original.filter((text) => held.has(text.trimEnd())).length;
  const beginsAlike = first?.trimEnd() === original[0]?.trimEnd() || held.has(original[0]?.trimEnd() ?? '');
  return beginsAlike && kept >= original.length * FULL_SHARE;
}

/** Declarations a rewrite may drop before it looks cut off. */
const LOST_SHARE_MAX = 0.5;

export function applyFull(context: Context, texts: readonly string[]): Outcome {
  const rewritten = trimBlankEdges(texts);
  const snapshot = context.parse(`${rewritten.join('\n')}\n`).snapshot;
  if (snapshot.errorCount > context.parsed.snapshot.errorCount)
    throw new Refusal('does_not_parse', 'the new text has syntax errors');
  if (context.source.trim() !== '' && snapshot.count < 3) throw new Refusal('not_code', 'the edit holds no code');
  const proved = context.proveLines(diffLines(context, rewritten), 'rewrite');
  if (isFailure(proved)) throw new Refusal(proved.reason, proved.detail);
  if (proved.removed.length > 1 && proved.removed.length > context.declarations.length * LOST_SHARE_MAX) {
    throw new Refusal(
      'proof_failed',
      `the rewrite drops ${proved.removed.length} of ${context.declarations.length} declarations`,
    );
  }
  return { proved, engine: 'text' };
}

function trimBlankEdges(texts: readonly string[]): readonly string[] {
  return texts.slice(
    texts.findIndex((text) => !isBlank(text)),
    texts.findLastIndex((text) => !isBlank(text)) + 1,
  );
}

/**
 * The new lines with those of the original kept by position: equal ones at both ends, and in between those that are unique
 * in both, in order. It only decides which line ends and bytes stay; the text is the edit's either way.
 */
function diffLines(context: Context, texts: readonly string[]): OutLine[] {
  const old = context.lines.texts;
  const out: OutLine[] = [...texts];
  let head = 0;
  while (head < old.length && head < texts.length && old[head] === texts[head]) {
    out[head] = head;
    head += 1;
  }
  let tail = 0;
  while (
    tail < old.length - head &&
    tail < texts.length - head &&
    old[old.length - 1 - tail] === texts[texts.length - 1 - tail]
  ) {
    out[texts.length - 1 - tail] = old.length - 1 - tail;
    tail += 1;
  }
  const places = new Map<string, number>();
  for (let line = head; line < old.length - tail; line += 1) places.set(old[line] ?? '', places.has(old[line] ?? '') ? -1 : line);
  const twice = new Set<string>();
  const seen = new Set<string>();
  for (const text of texts) {
    if (seen.has(text)) twice.add(text);
    seen.add(text);
  }
  let last = head - 1;
  for (let line = head; line < texts.length - tail; line += 1) {
    const text = texts[line] ?? '';
    const place = places.get(text) ?? -1;
    if (place > last && !twice.has(text)) {
      out[line] = place;
      last = place;
    } else if (last + 1 < old.length - tail && old[last + 1] === text) {
      out[line] = last + 1;
      last += 1;
    }
  }
  return out;
}
