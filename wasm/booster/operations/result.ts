import type { ParseRefusal } from '../engine.ts';
import type { BoosterReason, BoosterRefusal, BoosterSuccess } from './task.ts';

export const TREE_ENGINE = 'tree-sitter';
export const TEXT_ENGINE = 'text';

/** A refusal on its way out of a deep place. Only `runOperation` catches it. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly refusal: BoosterRefusal;
  constructor(refusal: BoosterRefusal) {
    super(refusal.detail);
    this.refusal = refusal;
  }
}

type RefusalFacts = Pick<BoosterRefusal, 'candidates' | 'at'>;

export const refusal = (reason: BoosterReason, detail: string, facts: RefusalFacts = {}): BoosterRefusal => ({
  ok: false,
  reason,
  detail,
  ...facts,
});

/** Ends the operation with a refusal. */
export function refuse(reason: BoosterReason, detail: string, facts: RefusalFacts = {}): never {
  throw new Refused(refusal(reason, detail, facts));
}

type SuccessFacts = Omit<BoosterSuccess<unknown>, 'ok' | 'output' | 'engine' | 'proofs'>;

/** Empty lists are left out. */
export function success<Output>(
  output: Output,
  proofs: readonly string[] = [],
  { engine = TREE_ENGINE, assumed = [], reported = [], ...facts }: SuccessFacts & { readonly engine?: string } = {},
): BoosterSuccess<Output> {
  return {
    ok: true,
    output,
    engine,
    proofs,
    ...(assumed.length > 0 && { assumed }),
    ...(reported.length > 0 && { reported }),
    ...facts,
  };
}

const WHY: Readonly<Record<ParseRefusal, string>> = {
  too_large: 'the source is larger than one task may be',
  budget: 'parsing took more steps than one task may',
  unsupported: 'the language has no grammar here',
};

/** The parsed source, or the end of the operation. */
export function parsedOrRefuse<Parsed extends object>(parsed: Parsed | ParseRefusal): Parsed {
  return typeof parsed === 'string' ? refuse(parsed, WHY[parsed]) : parsed;
}
