import { ENGINE_PARTS, loadLanguages } from '../../../wasm/booster/bundle.ts';
import { createEngine as createParser } from '../../../wasm/booster/engine.ts';
import { adapt, languagesOf } from '../../../workers/booster/adapt.ts';
import type { CreateEngine, Prepare } from '../../../workers/booster/engine-port.ts';
import { panicInAstGrep, startAstGrep } from './panic.ts';

/**
 * The real engine, for test-only Workers that take it in place of workers/booster/engine.ts. What a source says makes it
 * fail as engines do, not as mocks do: `fault:panic` panics in compiled Rust, `fault:memory` overwrites the instance's memory
 * and then runs the operation. (A budget needs no help: `HOSTILE` of sources.ts exhausts it.)
 */
export const createEngine: CreateEngine = async () => {
  const parser = await createParser(ENGINE_PARTS);
  const engine = adapt(parser);
  await startAstGrep();
  return {
    get memoryBytes() {
      return engine.memoryBytes;
    },
    run(task) {
      const fault = /fault:(panic|memory)/.exec(task.original ?? '')?.[1];
      if (fault === 'panic') panicInAstGrep();
      if (fault === 'memory') parser.binding().HEAPU8.fill(0xff);
      return engine.run(task);
    },
  };
};

export const prepare: Prepare = (task) => loadLanguages(languagesOf(task));
