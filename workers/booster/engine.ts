import { ENGINE_PARTS, loadLanguages } from '../../wasm/booster/bundle.ts';
import { createEngine as createParser } from '../../wasm/booster/engine.ts';
import { adapt } from './adapt.ts';
import type { CreateEngine } from './engine-port.ts';

/** A new instance of the real engine. Each is isolated; they share the compiled modules. */
export const createEngine: CreateEngine = async () => adapt(await createParser(ENGINE_PARTS), loadLanguages);
