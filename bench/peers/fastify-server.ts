/** The HTTP peer as a process of its own: `node fastify-server.ts <redis port> <port> <token>`. */
import { timingSafeEqual } from 'node:crypto';
import Fastify from 'fastify';
import { RedisFleet } from './redis-fleet.ts';

const [redisPort, port, token] = process.argv.slice(2);
if (redisPort === undefined || port === undefined || token === undefined)
  throw new Error('usage: fastify-server.ts <redis port> <port> <token>');

const fleet = new RedisFleet(Number(redisPort));
const expected = Buffer.from(`Bearer ${token}`);
const isText = (value: unknown, charsMax: number): value is string =>
  typeof value === 'string' && value.length > 0 && value.length <= charsMax;

function isAuthorized(header: string | undefined): boolean {
  if (header === undefined) return false;
  const given = Buffer.from(header);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

const app = Fastify({ logger: false, bodyLimit: 1_048_576 });
app.addHook('onRequest', async (request, reply) => {
  if (!isAuthorized(request.headers.authorization)) await reply.code(401).send({ error: 'unauthorized' });
});

app.post<{ Body: { pool?: unknown; capabilities?: unknown; leaseMs?: unknown } | null }>(
  '/v1/allocations',
  async (request, reply) => {
    const body = request.body ?? {};
    const capabilities = Array.isArray(body.capabilities) ? (body.capabilities as readonly unknown[]) : [];
    const [capability] = capabilities;
    const leaseMs = body.leaseMs ?? 30_000;
    if (
      !isText(body.pool, 128) ||
      !isText(capability, 64) ||
      !capabilities.every((c) => isText(c, 64)) ||
      typeof leaseMs !== 'number'
    ) {
      return reply.code(400).send({ error: 'bad_request' });
    }
    const grant = await fleet.allocate(body.pool, capability, leaseMs);
    return grant === null ? reply.code(409).send({ error: 'no_capacity' }) : reply.code(201).send(grant);
  },
);

app.post<{ Params: { id: string }; Body: { token?: unknown } | null }>('/v1/allocations/:id/release', async (request, reply) => {
  const given = request.body?.token;
  if (typeof given !== 'number') return reply.code(400).send({ error: 'bad_request' });
  const done = await fleet.release(request.params.id, given);
  if (done === 1) return reply.send({ released: true });
  return reply.code(done === -1 ? 404 : 409).send({ error: done === -1 ? 'not_found' : 'superseded' });
});

await app.listen({ host: '127.0.0.1', port: Number(port) });
