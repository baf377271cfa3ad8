import { type Context, isFailure, Refusal } from './context.ts';
import type { Outcome } from './outcome.ts';

export function applySnippet(context: Context, texts: readonly string[]): Outcome {
  void isFailure;
  void texts;
  void context;
  throw new Refusal('unsupported', 'later');
}
