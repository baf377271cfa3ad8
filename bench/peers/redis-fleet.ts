import { Redis } from 'ioredis';

/*
 * A strong peer: registry and leases in Redis, every call one atomic script. Keys: `a:<id>` an agent; `i:<pool>:<cap>` idle
 * agents by the time they were last released; `lz` live leases by their end; `l:<id>` a lease; `c:<pool>` counters;
 * `f` the last fencing token.
 */

const ALLOCATE = `
local key='i:'..ARGV[1]..':'..ARGV[2]
for _,id in ipairs(redis.call('ZRANGE',key,0,31)) do
  local caps=redis.call('HGET','a:'..id,'caps')
  for c in string.gmatch(caps,'[^,]+') do redis.call('ZREM','i:'..ARGV[1]..':'..c,id) end
  local token=redis.call('INCR','f')
  local lease=ARGV[3]
  local ends=ARGV[4]+ARGV[5]
  redis.call('HSET','l:'..lease,'agent',id,'token',token,'exp',ends,'pool',ARGV[1])
  redis.call('ZADD','lz',ends,lease)
  redis.call('HSET','a:'..id,'st','busy','al',lease)
  redis.call('HINCRBY','c:'..ARGV[1],'busy',1)
  return {id,token,ends}
end
return false`;

const RELEASE = `
local lease=redis.call('HMGET','l:'..ARGV[1],'agent','token','pool')
if not lease[1] then return -1 end
if lease[2]~=ARGV[2] then return -2 end
redis.call('DEL','l:'..ARGV[1])
redis.call('ZREM','lz',ARGV[1])
local caps=redis.call('HGET','a:'..lease[1],'caps')
for c in string.gmatch(caps,'[^,]+') do redis.call('ZADD','i:'..lease[3]..':'..c,ARGV[3],lease[1]) end
redis.call('HSET','a:'..lease[1],'st','idle','al','')
redis.call('HINCRBY','c:'..lease[3],'busy',-1)
return 1`;

const REGISTER = `
if redis.call('EXISTS','a:'..ARGV[1])==1 then return 0 end
redis.call('HSET','a:'..ARGV[1],'pool',ARGV[2],'caps',ARGV[3],'st','idle','hb',ARGV[4],'al','')
for c in string.gmatch(ARGV[3],'[^,]+') do redis.call('ZADD','i:'..ARGV[2]..':'..c,ARGV[4],ARGV[1]) end
redis.call('HINCRBY','c:'..ARGV[2],'total',1)
return 1`;

interface Scripts {
  falloc(
    pool: string,
    capability: string,
    lease: string,
    nowMs: number,
    leaseMs: number,
  ): Promise<[string, number, number] | null>;
  frelease(lease: string, token: number, nowMs: number): Promise<number>;
  fregister(id: string, pool: string, capabilities: string, nowMs: number): Promise<number>;
}

/** A fleet in Redis, for one process. */
export class RedisFleet {
  readonly #redis: Redis;
  readonly #scripts: Scripts;

  constructor(port: number) {
    this.#redis = new Redis(port, '127.0.0.1');
    this.#redis.defineCommand('falloc', { numberOfKeys: 0, lua: ALLOCATE });
    this.#redis.defineCommand('frelease', { numberOfKeys: 0, lua: RELEASE });
    this.#redis.defineCommand('fregister', { numberOfKeys: 0, lua: REGISTER });
    this.#scripts = this.#redis as unknown as Scripts;
  }

  async register(id: string, pool: string, capabilities: readonly string[]): Promise<void> {
    if ((await this.#scripts.fregister(id, pool, `,${capabilities.join(',')},`, Date.now())) !== 1)
      throw new Error(`${id} exists`);
  }

  async allocate(pool: string, capability: string, leaseMs: number): Promise<RedisGrant | null> {
    const id = crypto.randomUUID();
    const granted = await this.#scripts.falloc(pool, capability, id, Date.now(), leaseMs);
    return granted === null ? null : { id, agentId: granted[0], token: granted[1], expiresAtMs: granted[2] };
  }

  /** 1: released; -1: unknown; -2: another token's. */
  release(id: string, token: number): Promise<number> {
    return this.#scripts.frelease(id, token, Date.now());
  }

  async close(): Promise<void> {
    await this.#redis.quit();
  }
}

export interface RedisGrant {
  readonly id: string;
  readonly agentId: string;
  readonly token: number;
  readonly expiresAtMs: number;
}
