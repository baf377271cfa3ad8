import { ENGINE_PARTS, loadLanguages } from '../../wasm/booster/bundle.ts';
import { createEngine as createParser } from '../../wasm/booster/engine.ts';
import { adapt, languagesOf } from './adapt.ts';
import type { CreateEngine, Prepare } from './engine-port.ts';

/** A new instance of the real engine. Each is isolated; they share the compiled modules. */
export const createEngine: CreateEngine = async () => adapt(await createParser(ENGINE_PARTS));

/** The languages of a task, ready for every instance of the isolate. */
export const prepare: Prepare = (task) => loadLanguages(languagesOf(task));
