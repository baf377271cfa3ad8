import { WorkerEntrypoint } from 'cloudflare:workers';

/** A booster Worker that answers what it was asked and fails at `poison`. */
export class BoosterEntry extends WorkerEntrypoint {
  async run({ tasks }) {
    if (tasks.some(({ original }) => original === 'poison')) throw new Error('the isolate is gone');
    return tasks.map(({ original }) => ({
      reason: null,
      json: JSON.stringify({ ok: true, output: original, engine: 'x', proofs: [] }),
    }));
  }

  async status() {
    return {
      isolate: 'one',
      startedAtMs: 1,
      slotsMax: 4,
      slots: [],
      operations: 0,
      done: 0,
      refused: {},
      panics: 0,
      recycled: 0,
    };
  }
}

export default { fetch: () => new Response(null, { status: 404 }) };
