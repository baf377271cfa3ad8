import type { FleetError } from '../../shared/errors.ts';
import { err, ok, type Result } from '../../shared/result.ts';
import type { Caller } from '../../shared/rpc.ts';
import { disposable } from '../lib/disposable.ts';
import { within } from '../lib/within.ts';
import { Admission, type Count } from './core/admission.ts';
import type { RegionBinding } from './env.ts';
import type { Admitted } from './fleet-rpc.ts';
import type { FleetStorage } from './storage.ts';

const STATUS_TIMEOUT_MS = 400;
const ASK_AGAIN_MS = 100;
/** Open tickets settle within this time in all but broken cases (`COUNTED_WITHIN_MS` and a slow registration). */
const WAIT_MS = 2_500;
/** A count this young is good enough while there is room to spare: tickets since then are counted on top. */
const COUNT_FRESH_MS = 1_000;

/** Admission under a fleet's `maxAgents`: one decision at a time, over what the regions count and who is on the way. */
export class FleetQuota {
  readonly #storage: FleetStorage;
  readonly #bindings: () => ReadonlyMap<string, RegionBinding>;
  readonly #admission = new Admission();
  #turn: Promise<void> = Promise.resolve();
  #count: Count | null = null;

  constructor(storage: FleetStorage, bindings: () => ReadonlyMap<string, RegionBinding>) {
    this.#storage = storage;
    this.#bindings = bindings;
  }

  admit(
    limitNow: () => number | undefined,
    caller: Caller,
    input: { readonly wanted: number; readonly keys: readonly string[] },
  ): Promise<Result<Admitted & { readonly known: readonly string[] }, FleetError>> {
    const decided = this.#turn.then(() => this.#decide(limitNow, caller, input));
    this.#turn = decided.then(
      () => undefined,
      () => undefined,
    );
    return decided;
  }

  async #decide(
    limitNow: () => number | undefined,
    caller: Caller,
    input: { readonly wanted: number; readonly keys: readonly string[] },
  ): Promise<Result<Admitted & { readonly known: readonly string[] }, FleetError>> {
    const known = this.#storage.registered(input.keys);
    const wanted = input.wanted - known.length;
    const untilMs = Date.now() + WAIT_MS;
    for (;;) {
      const limit = limitNow();
      if (limit === undefined || wanted <= 0) return ok({ ticket: 0, admitted: Math.max(0, wanted), known });
      const verdict = this.#judge(limit, wanted, await this.#counted(caller, limit, wanted), Date.now() < untilMs);
      if (verdict.type === 'admit') {
        return ok({ ticket: this.#admission.open(verdict.admitted, Date.now()), admitted: verdict.admitted, known });
      }
      if (verdict.type === 'refuse') {
        if (known.length > 0) return ok({ ticket: 0, admitted: 0, known });
        return err({
          kind: 'quota_exceeded',
          scope: 'fleet',
          limit,
          detail: `The fleet may have ${limit} agents in all regions together.`,
        });
      }
      this.#count = null;
      await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
    }
  }

  #judge(limit: number, wanted: number, count: Count, mayWait: boolean): ReturnType<Admission['judge']> {
    return this.#admission.judge({ limit, wanted, count, nowMs: Date.now(), mayWait });
  }

  settle(ticket: number, outcome: { readonly registered: number; readonly keys: readonly string[] }): void {
    this.#storage.putRegistered(outcome.keys, Date.now());
    this.#admission.settle(ticket, outcome.registered, Date.now());
  }

  noteRemoved(): void {
    this.#admission.noteRemoved(Date.now());
  }

  /** The agents of all regions. A young count will do when it leaves room; near the maximum the regions are asked. */
  async #counted(caller: Caller, limit: number, wanted: number): Promise<Count> {
    const young = this.#count;
    if (
      young !== null &&
      Date.now() - young.askedAtMs < COUNT_FRESH_MS &&
      this.#judge(limit, wanted, young, true).type === 'admit'
    )
      return young;
    const askedAtMs = Date.now();
    const last = this.#storage.regionCounts();
    const counts = await Promise.all(
      [...this.#bindings()].map(([region, binding]) => this.#ask(region, binding, caller, last.get(region))),
    );
    this.#count = { agents: counts.reduce((sum, n) => sum + n, 0), askedAtMs };
    return this.#count;
  }

  /** A region that does not answer counts as it did when it last did: its agents have not gone. */
  async #ask(region: string, binding: RegionBinding, caller: Caller, last: number | undefined): Promise<number> {
    try {
      using answer = disposable(await within(STATUS_TIMEOUT_MS, binding.status(caller)));
      const { agents } = answer.value.status;
      const live = agents.total - agents.offline;
      if (live !== last) this.#storage.putRegionCount(region, live);
      return live;
    } catch {
      return last ?? 0;
    }
  }
}
