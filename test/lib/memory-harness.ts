import { createHash } from 'node:crypto';
import { monotonicFactory } from 'ulid';
import { MemoryEngine, type EngineWorld } from '../../durable-objects/memory/memory-engine.ts';
import { MEMORY_MIGRATIONS } from '../../durable-objects/memory/migrations.ts';
import { VectorMemory } from '../../durable-objects/memory/vector-memory.ts';
import { loadDot } from '../../wasm/vectors/load-node.ts';
import { migrate } from '../../durable-objects/lib/migrate.ts';
import type { LeaseFacts, TaskFacts } from '../../durable-objects/memory/core/fences.ts';
import type { FleetError } from '../../shared/errors.ts';
import type { MemoryCommandOf, MemoryCommandType, MemoryOutput } from '../../shared/memory-rpc.ts';
import type { Result } from '../../shared/result.ts';
import type { Caller, IdempotencyRef } from '../../shared/rpc.ts';
import { NodeStorage } from './sql-storage.ts';

export const REGION = 'eu-west-1';
export const SWARM = 'hive';
const ULID = '01J0000000000000000000000';

/** Ids that parse, told apart by their last character. */
export const agentId = (pool: string, n: number | string): string => `agt.${REGION}.${pool}.0.${ULID}${n}`;
export const allocationId = (n: number | string): string => `alc.${REGION}.coder.0.${ULID}${n}`;
export const taskId = (n: number | string): string => `tsk.${REGION}.coder.0.${ULID}${n}`;

export const agent = (pool: string, n: number | string, swarms: readonly string[] = [SWARM]): Caller => ({
  fleet: 'acme',
  subject: agentId(pool, n),
  role: 'agent',
  agentId: agentId(pool, n),
  swarms,
  requestId: 'r',
});
export const person = (role: 'viewer' | 'operator' | 'admin', name = 'one'): Caller => ({
  fleet: 'acme',
  subject: `tok.${role}.${name}`,
  role,
  requestId: 'r',
});

export interface Harness {
  readonly engine: MemoryEngine;
  readonly storage: NodeStorage;
  nowMs: number;
  /** Runs one command and answers its result. */
  run<K extends MemoryCommandType>(
    caller: Caller,
    command: MemoryCommandOf<K>,
    extra?: { readonly leases?: readonly LeaseFacts[]; readonly tasks?: readonly TaskFacts[]; readonly key?: IdempotencyRef },
  ): Result<MemoryOutput<K>, FleetError> & { readonly replayed?: boolean };
  /** The value of a command that must succeed. */
  must<K extends MemoryCommandType>(
    caller: Caller,
    command: MemoryCommandOf<K>,
    extra?: { readonly leases?: readonly LeaseFacts[]; readonly tasks?: readonly TaskFacts[] },
  ): MemoryOutput<K>;
  /** Rows of a table, to look at what was really written. */
  rows(query: string): Record<string, unknown>[];
}

export function sha256Of(...parts: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

/** A memory on node:sqlite with a clock of its own. */
export function memory(options: { readonly storage?: NodeStorage } = {}): Harness {
  const storage = options.storage ?? new NodeStorage();
  migrate(storage, MEMORY_MIGRATIONS);
  const makeUlid = monotonicFactory();
  const world: EngineWorld = {
    nowMs: () => harness.nowMs,
    ulid: () => makeUlid(harness.nowMs),
    sha256Hex: (text) => createHash('sha256').update(text).digest('hex'),
    sha256OfParts: (parts) => sha256Of(...[...parts].map((part) => new Uint8Array(part))),
    vectors: new VectorMemory(loadDot, () => storage.sql),
  };
  const engine = new MemoryEngine(storage, world, { region: REGION, swarm: SWARM });
  const harness: Harness = {
    engine,
    storage,
    nowMs: 1_700_000_000_000,
    run(caller, command, extra = {}) {
      const { key, ...told } = extra;
      const request = { command: command as never, ...(key === undefined ? {} : { idempotency: key }) };
      const [reply] = engine.execute(caller, [request], told);
      return reply as never;
    },
    must(caller, command, extra = {}) {
      const reply = harness.run(caller, command, extra);
      if (!reply.ok) throw new Error(`${command.type}: ${reply.error.kind} ${reply.error.detail}`);
      return reply.value;
    },
    rows: (query) => storage.sql.exec(query).toArray(),
  };
  return harness;
}

/** What a refused result says, or `ok`. */
export const kindOf = (result: Result<unknown, FleetError>): string => (result.ok ? 'ok' : result.error.kind);

export const lease = (n: number | string, holder: Caller, facts: Partial<LeaseFacts> & { fencingToken: number }): LeaseFacts => ({
  allocationId: allocationId(n),
  agentId: holder.subject,
  taskId: null,
  slots: 1,
  agentSlots: 1,
  expiresAtMs: 1_700_000_060_000,
  status: 'active',
  ...facts,
});
