import type { BoosterInstruction } from '../../shared/schemas/booster.ts';
import type { Engine } from '../../wasm/booster/engine.ts';
import { type LanguageId, resolveLanguage } from '../../wasm/booster/languages.ts';
import { apply } from '../../wasm/booster/merge/apply.ts';
import { runOperation } from '../../wasm/booster/operations/run.ts';
import type { SyntaxTask } from '../../wasm/booster/operations/task.ts';
import type { EngineAnswer, PooledEngine } from './engine-port.ts';
import { languageOf, likelyLanguages } from './language-of.ts';

/** Operations that can tell nothing from the code: a scaffold has none, and a diff reads lines. */
const WITHOUT_CODE: ReadonlySet<string> = new Set(['scaffold', 'diff']);

const isTold = ({ language, path, operation }: BoosterInstruction): boolean =>
  language !== undefined || path !== undefined || WITHOUT_CODE.has(operation);

/** Languages that a task may be read in. */
export function languagesOf(task: BoosterInstruction): readonly LanguageId[] {
  if (!isTold(task)) return likelyLanguages(task.original ?? '');
  const known = resolveLanguage(task);
  return known === null ? [] : [known];
}

/** The engine behind the pool's port. What it throws, the pool takes for a failed instance. */
export function adapt(engine: Engine): PooledEngine {
  return {
    get memoryBytes() {
      return engine.memoryBytes;
    },
    run(task) {
      const language = isTold(task) ? undefined : languageOf(engine, task.original ?? '');
      if (language === null) return UNKNOWN_LANGUAGE;
      const told = language === undefined ? task : { ...task, language };
      const answer = told.operation === 'apply' ? applied(engine, told) : operated(engine, told);
      // An instance that noticed its own damage must not be believed, whatever it answered.
      if (engine.taint !== null) throw new Error(`tainted: ${engine.taint}`);
      return language === undefined || !answer.ok ? answer : { ...answer, language };
    },
  };
}

const UNKNOWN_LANGUAGE: EngineAnswer = {
  ok: false,
  reason: 'unsupported',
  detail: 'The language cannot be told from the code: give language or path.',
};

function applied(engine: Engine, { language, path, original = '', edit = '', style }: BoosterInstruction): EngineAnswer {
  const known = resolveLanguage({ language, path });
  if (known === null) {
    return { ok: false, reason: 'unsupported', detail: `No language is known for '${(language ?? path ?? '').slice(0, 80)}'.` };
  }
  const result = apply(engine, { original, edit, language: known, style });
  // The engine's proofs are facts that hold or there is no result; the wire lists them by name.
  return result.ok ? { ...result, proofs: Object.keys(result.proofs) } : { ...result };
}

/** The schema has checked that each operation has the fields it needs; the engine's folder knows no schemas. */
const operated = (engine: Engine, task: BoosterInstruction): EngineAnswer => ({
  ...runOperation(engine, task as unknown as SyntaxTask),
});
