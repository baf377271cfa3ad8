import type { Engine, Parsed, Session } from '../engine.ts';
import { resolveLanguage, type LanguageId } from '../languages.ts';
import { SOURCE_MAX_LENGTH } from '../limits.ts';
import { check } from './check.ts';
import { unifiedDiff } from './diff/unified.ts';
import { imports } from './imports.ts';
import { metrics } from './metrics.ts';
import { outline } from './outline.ts';
import { runQuery } from './query.ts';
import { parsedOrRefuse, Refused, refuse, success, TEXT_ENGINE } from './result.ts';
import { rename } from './rename.ts';
import { rewrite } from './rewrite.ts';
import { scaffold } from './scaffold.ts';
import { search } from './search.ts';
import type { BoosterResult, DiffTask, SyntaxTask } from './task.ts';

/**
 * Does one task. Whatever the code, pattern or query is, the answer is a result or a refusal with one of the contract's
 * reasons; only a fault of the engine itself throws (`EngineFault`), after which the engine must be replaced.
 */
export function runOperation(engine: Engine, task: SyntaxTask): BoosterResult {
  try {
    return operate(engine, task);
  } catch (error) {
    if (error instanceof Refused) return error.refusal;
    throw error;
  }
}

function operate(engine: Engine, task: SyntaxTask): BoosterResult {
  switch (task.operation) {
    case 'outline':
      return inSession(engine, task, (_, parsed) => success(outline(parsed)));
    case 'check':
      return inSession(engine, task, (_, parsed) => success(check(engine, parsed)));
    case 'metrics':
      return inSession(engine, task, (_, parsed) => success(metrics(parsed)));
    case 'query':
      return inSession(engine, task, (_, parsed) => success(runQuery(engine, parsed, task.query)));
    case 'search':
      return inSession(engine, task, (session, parsed) => success(search(session, parsed, task.pattern)));
    case 'rewrite':
      return inSession(engine, task, (session, parsed) => rewrite(session, parsed, task.pattern, task.rewrite));
    case 'rename':
      return inSession(engine, task, (session, parsed) => rename(session, parsed, task));
    case 'imports':
      return inSession(engine, task, (session, parsed) => imports(session, parsed, task.imports));
    case 'scaffold': {
      const language = languageOf(task);
      return engine.session((session) => scaffold(session, language, task.template));
    }
    case 'diff':
      return diff(task);
    default:
      return refuse('unsupported', `'${(task as { operation: string }).operation}' is no operation`);
  }
}

/** Parses the original and works on it; trees are gone when it returns. */
function inSession(
  engine: Engine,
  task: { readonly language?: string | undefined; readonly path?: string | undefined; readonly original: string },
  work: (session: Session, parsed: Parsed) => BoosterResult,
): BoosterResult {
  const language = languageOf(task);
  if (!engine.supports(language)) refuse('unsupported', `no grammar for ${language}`);
  return engine.session((session) => work(session, parsedOrRefuse(session.parse(language, task.original))));
}

function languageOf(task: { readonly language?: string | undefined; readonly path?: string | undefined }): LanguageId {
  const language = resolveLanguage(task);
  if (language !== null) return language;
  const named = task.language ?? task.path;
  return refuse(
    'unsupported',
    named === undefined ? 'name a language or a path' : `no language known for '${named.slice(0, 80)}'`,
  );
}

function diff(task: DiffTask): BoosterResult<string> {
  if (task.original.length > SOURCE_MAX_LENGTH || task.edit.length > SOURCE_MAX_LENGTH) {
    refuse('too_large', `a text has at most ${SOURCE_MAX_LENGTH} characters`);
  }
  const found = unifiedDiff({ oldText: task.original, newText: task.edit, ...(task.path !== undefined && { path: task.path }) });
  if (found === null) return refuse('too_large', 'the texts are too long and too different');
  return success(found.text, [], { engine: TEXT_ENGINE, count: found.hunks });
}
