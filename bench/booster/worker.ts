/** Runs in workerd, one contender and size a request. Clocks advance only locally, and in steps of a millisecond. */
import { parse as acorn } from 'acorn';
import agentBoosterModule from 'agent-booster/wasm/agent_booster_wasm_bg.wasm';
import * as agentBooster from 'agent-booster/wasm/agent_booster_wasm.js';
import type { BoosterInstruction } from '../../shared/schemas/booster.ts';
import { ENGINE_PARTS, loadLanguages } from '../../wasm/booster/bundle.ts';
import { createEngine, type Engine } from '../../wasm/booster/engine.ts';
import { adapt } from '../../workers/booster/adapt.ts';
import { blockOf, lazyOf, mergedOf, QUERY, snippetOf, sourceOf } from './sources.ts';

export interface BenchRequest {
  readonly contender: string;
  readonly bytes: number;
  readonly samples: number;
  readonly sampleMs: number;
}
export interface BenchReply {
  /** Milliseconds per operation, one figure per sample. */
  readonly msPerOp: readonly number[];
  /** Whether what it made is what was asked; null where nothing is made. */
  readonly right: boolean | null;
  readonly memoryBytes: number;
}

interface Peer {
  apply_edit(original: string, edit: string, language: number): { merged_code: string; free(): void };
}
let peer: Peer | null = null;
function peerOf(): Peer {
  if (peer !== null) return peer;
  const { instantiate } = agentBooster as unknown as {
    instantiate(module: WebAssembly.Module): { AgentBoosterWasm: new () => Peer };
  };
  peer = new (instantiate(agentBoosterModule).AgentBoosterWasm)();
  return peer;
}

let engine: Engine | null = null;

/** One operation of a contender; answers what it made, where it makes something. */
async function operationOf(contender: string, bytes: number): Promise<() => string | null> {
  const original = sourceOf(bytes);
  engine ??= await createEngine(ENGINE_PARTS);
  const own = engine;
  const pooled = adapt(own);
  await loadLanguages(['javascript']);
  const task = (more: Partial<BoosterInstruction> & Pick<BoosterInstruction, 'operation'>): (() => string | null) => {
    const whole = { language: 'javascript', original, ...more };
    return () => {
      const answer = pooled.run(whole);
      if (!answer.ok) return `refused: ${answer.reason}`;
      return typeof answer.output === 'string' ? answer.output : null;
    };
  };
  switch (contender) {
    case 'parse':
      return () => own.session((session) => (typeof session.parse('javascript', original) === 'string' ? 'refused' : null));
    case 'outline':
      return task({ operation: 'outline' });
    case 'query':
      return task({ operation: 'query', query: QUERY });
    case 'apply snippet':
      return task({ operation: 'apply', edit: snippetOf(original) });
    case 'apply lazy':
      return task({ operation: 'apply', edit: lazyOf(original) });
    case 'apply search/replace':
      return task({ operation: 'apply', edit: blockOf(original) });
    case 'acorn parse':
      return () => (acorn(original, { ecmaVersion: 'latest', sourceType: 'module' }).type === 'Program' ? null : 'wrong');
    case 'agent-booster apply': {
      const edit = snippetOf(original);
      const booster = peerOf();
      return () => {
        const result = booster.apply_edit(original, edit, 0);
        const merged = result.merged_code;
        result.free();
        return merged;
      };
    }
    default:
      throw new Error(`no contender ${contender}`);
  }
}

export default {
  async fetch(request: Request): Promise<Response> {
    const { contender, bytes, samples, sampleMs } = await request.json<BenchRequest>();
    const operation = await operationOf(contender, bytes);
    const made = operation();
    const right = made === null ? null : made.trimEnd() === mergedOf(sourceOf(bytes)).trimEnd();
    const warmUntil = Date.now() + 4 * sampleMs;
    while (Date.now() < warmUntil) operation();
    const msPerOp: number[] = [];
    for (let i = 0; i < samples; i += 1) {
      const startedAtMs = Date.now();
      let count = 0;
      let endedAtMs = startedAtMs;
      while (endedAtMs - startedAtMs < sampleMs) {
        operation();
        count += 1;
        endedAtMs = Date.now();
      }
      msPerOp.push((endedAtMs - startedAtMs) / count);
    }
    return Response.json({ msPerOp, right, memoryBytes: engine?.memoryBytes ?? 0 } satisfies BenchReply);
  },
} satisfies ExportedHandler;
