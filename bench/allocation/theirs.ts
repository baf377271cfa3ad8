import { join } from 'node:path';
import { BullMqJobs } from '../peers/bullmq-jobs.ts';
import { PostgresFleet } from '../peers/postgres-fleet.ts';
import { hasPostgres, startPostgres } from '../peers/postgres-server.ts';
import { freePort, startServer } from '../peers/process.ts';
import { RedisFleet } from '../peers/redis-fleet.ts';
import { hasRedis, startRedis } from '../peers/redis-server.ts';
import { agents, LEASE_MS, nextCapability, POOL } from './agents.ts';
import { ConnectionSets } from './http.ts';
import type { Contender } from './measure.ts';

export const FASTIFY = 'Fastify → Redis+Lua, fsync always';
export const IOREDIS = 'ioredis+Lua, fsync always';
export const BULLMQ = 'BullMQ add → worker start, fsync always';
export const POSTGRES = 'PostgreSQL SKIP LOCKED, synchronous_commit on';

const CONCURRENCY = [1, 16, 64];
const TOKEN = 'bench-token-0123456789';
const FASTIFY_SERVER = join(import.meta.dirname, '../peers/fastify-server.ts');

/** A peer that runs, or the reason that it does not. */
export interface Peer {
  readonly name: string;
  readonly contender: Contender | null;
  readonly missing: string | null;
  stop(): Promise<void>;
}

const missing = (name: string, reason: string): Peer => ({ name, contender: null, missing: reason, stop: async () => undefined });

/** All peers, with their state under `parent`. One that is not installed says so. */
export async function startPeers(parent: string): Promise<readonly Peer[]> {
  const redis = 'redis-server is not installed';
  return [
    hasRedis() ? await fastify(parent) : missing(FASTIFY, redis),
    hasRedis() ? await ioredis(parent) : missing(IOREDIS, redis),
    hasRedis() ? await bullmq(parent) : missing(BULLMQ, redis),
    hasPostgres() ? await postgres(parent) : missing(POSTGRES, 'postgresql is not installed'),
  ];
}

async function redisWithAgents(
  parent: string,
): Promise<{ readonly port: number; readonly pid: number; readonly fleet: RedisFleet; stop(): Promise<void> }> {
  const server = await startRedis(parent);
  const fleet = new RedisFleet(server.port);
  await Promise.all(agents(1_000).map((agent) => fleet.register(agent.id, agent.pool, agent.capabilities)));
  return {
    port: server.port,
    pid: server.pid,
    fleet,
    async stop() {
      await fleet.close();
      await server.stop();
    },
  };
}

async function fastify(parent: string): Promise<Peer> {
  const redis = await redisWithAgents(parent);
  const port = await freePort();
  const server = await startServer(process.execPath, [FASTIFY_SERVER, String(redis.port), String(port), TOKEN], { port });
  const connections = new ConnectionSets(`http://127.0.0.1:${port}`, TOKEN);
  return {
    name: FASTIFY,
    missing: null,
    contender: {
      name: FASTIFY,
      servers: () => [server.pid, redis.pid],
      concurrency: CONCURRENCY,
      async turn(concurrency, note) {
        const client = connections.of(concurrency);
        const from = performance.now();
        const body = { pool: POOL, capabilities: [nextCapability()], leaseMs: LEASE_MS };
        const reply = await client.expect(201, 'POST', '/v1/allocations', body);
        note(performance.now() - from);
        const { id, token } = JSON.parse(reply.body) as { readonly id: string; readonly token: number };
        await client.expect(200, 'POST', `/v1/allocations/${id}/release`, { token });
        return 1;
      },
    },
    async stop() {
      connections.close();
      await server.stop();
      await redis.stop();
    },
  };
}

async function ioredis(parent: string): Promise<Peer> {
  const { fleet, pid, stop } = await redisWithAgents(parent);
  return {
    name: IOREDIS,
    missing: null,
    contender: {
      name: IOREDIS,
      servers: () => [pid],
      concurrency: CONCURRENCY,
      async turn(_, note) {
        const from = performance.now();
        const grant = await fleet.allocate(POOL, nextCapability(), LEASE_MS);
        note(performance.now() - from);
        if (grant === null) throw new Error('redis: no agent is free');
        if ((await fleet.release(grant.id, grant.token)) !== 1) throw new Error('redis: not released');
        return 1;
      },
    },
    stop,
  };
}

async function bullmq(parent: string): Promise<Peer> {
  const server = await startRedis(parent);
  const jobs = new BullMqJobs(server.port, Math.max(...CONCURRENCY));
  await jobs.ready();
  return {
    name: BULLMQ,
    missing: null,
    contender: {
      name: BULLMQ,
      servers: () => [server.pid],
      concurrency: CONCURRENCY,
      async turn(_, note) {
        const from = performance.now();
        await jobs.run();
        note(performance.now() - from);
        return 1;
      },
    },
    async stop() {
      await jobs.close();
      await server.stop();
    },
  };
}

async function postgres(parent: string): Promise<Peer> {
  const server = await startPostgres(parent);
  const fleet = new PostgresFleet(server.port, Math.max(...CONCURRENCY));
  await fleet.prepare(agents(1_000));
  return {
    name: POSTGRES,
    missing: null,
    contender: {
      name: POSTGRES,
      servers: () => [server.pid],
      concurrency: CONCURRENCY,
      async turn(_, note) {
        const from = performance.now();
        const grant = await fleet.allocate(POOL, nextCapability(), LEASE_MS);
        note(performance.now() - from);
        if (grant === null) throw new Error('postgres: no agent is free');
        if (!(await fleet.release(grant.lease, grant.fence))) throw new Error('postgres: not released');
        return 1;
      },
    },
    async stop() {
      await fleet.close();
      await server.stop();
    },
  };
}
