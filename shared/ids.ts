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
const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;
const SHARD = /^(0|[1-9][0-9]{0,2})$/;

/** Writes an id. `ulid` comes from the caller: this module neither reads a clock nor makes randomness. */
export function makeId(kind: IdKind, home: Home, ulid: string): string {
  return `${ID_KINDS[kind]}.${home.region}.${home.pool}.${home.shard}.${ulid}`;
}

/** Reads an id back; `null` for anything that this system cannot have written. */
export function parseId(id: string): ParsedId | null {
  if (id.length > 128) return null;
  const parts = id.split('.');
  if (parts.length !== 5) return null;
  const [prefix, region, pool, shard, ulid] = parts as [string, string, string, string, string];
  const kind = (Object.keys(ID_KINDS) as IdKind[]).find((k) => ID_KINDS[k] === prefix);
  if (kind === undefined || !REGION_NAME.test(region) || !POOL_NAME.test(pool)) return null;
  if (!SHARD.test(shard) || !ULID.test(ulid)) return null;
  return { kind, region, pool, shard: Number(shard), ulid };
}

/** Reads an id that must be of one kind. */
export function parseIdOf(kind: IdKind, id: string): ParsedId | null {
  const parsed = parseId(id);
  return parsed !== null && parsed.kind === kind ? parsed : null;
}
