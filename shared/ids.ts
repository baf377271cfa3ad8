/**
 * Ids carry their home, so any worker routes by the id alone:
 * `agt.eu-west-1.coder.0.01J…` is kind, region, pool, shard, ULID. Clients treat ids as opaque.
 */
export const ID_KINDS = { agent: 'agt', allocation: 'alc', task: 'tsk' } as const;
export type IdKind = keyof typeof ID_KINDS;

/** Where a thing lives: one pool shard is one object. */
export interface Home {
  readonly region: string;
  readonly pool: string;
  readonly shard: number;
}

export interface ParsedId extends Home {
  readonly kind: IdKind;
  readonly ulid: string;
}

export const POOL_NAME = /^[a-z][a-z0-9-]{0,31}$/;
export const REGION_NAME = /^[a-z]{2}-[a-z]+-[0-9]$/;
/** All of an id at once: it is read for every operation on the way. */
const ID = /^(agt|alc|tsk)\.([a-z]{2}-[a-z]+-[0-9])\.([a-z][a-z0-9-]{0,31})\.(0|[1-9][0-9]{0,2})\.([0-7][0-9A-HJKMNP-TV-Z]{25})$/;
const KIND_OF: Readonly<Record<string, IdKind>> = { agt: 'agent', alc: 'allocation', tsk: 'task' };

/** Writes an id. `ulid` comes from the caller: this module neither reads a clock nor makes randomness. */
export function makeId(kind: IdKind, home: Home, ulid: string): string {
  return `${ID_KINDS[kind]}.${home.region}.${home.pool}.${home.shard}.${ulid}`;
}

/** Reads an id back; `null` for anything that this system cannot have written. */
export function parseId(id: string): ParsedId | null {
  if (id.length > 128) return null;
  const found = ID.exec(id);
  if (found === null) return null;
  const [, prefix, region, pool, shard, ulid] = found as unknown as [string, string, string, string, string, string];
  return { kind: KIND_OF[prefix] as IdKind, region, pool, shard: Number(shard), ulid };
}

/** Reads an id that must be of one kind. */
export function parseIdOf(kind: IdKind, id: string): ParsedId | null {
  const parsed = parseId(id);
  return parsed !== null && parsed.kind === kind ? parsed : null;
}
