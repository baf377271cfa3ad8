import { type Context, type Failure, isFailure, lineAt, type Proved, Refusal } from './context.ts';
import type { Applied, Candidate } from './types.ts';

export interface Outcome {
  readonly proved: Proved;
  readonly engine: Applied['engine'];
}

/** The one output among those tried that holds all proofs; refuses if there is none or more than one. */
export function onlyOne(context: Context, tried: readonly (Proved | Failure)[]): Proved {
  const passed: Proved[] = [];
  for (const each of tried) if (!isFailure(each) && !passed.some((other) => other.output === each.output)) passed.push(each);
  const [first] = passed;
  if (first === undefined) {
    const failure = tried.find(isFailure);
    throw new Refusal(failure?.reason ?? 'not_found', failure?.detail ?? 'the edit has no place in the original');
  }
  if (passed.length > 1)
    throw new Refusal('ambiguous', 'the edit can be read in more than one way', candidatesOf(context, passed));
  return first;
}

export const candidatesOf = (context: Context, passed: readonly Proved[]): Candidate[] =>
  passed.slice(0, 5).map(({ splices }) => ({
    line: lineAt(context.source, splices[0]?.start ?? 0),
    text: splices
      .map(({ text }) => text)
      .join('')
      .slice(0, 400),
  }));
