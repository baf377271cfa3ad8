import { HeartbeatReplySchema, HeartbeatSchema, PollReplySchema, PollSchema } from '../../../shared/schemas/agents.ts';
import { jsonArray, jsonWith } from '../../lib/json-text.ts';
import { renewedToken } from '../agent-tokens.ts';
import { act } from '../commands.ts';
import { endpoint } from '../endpoint.ts';
import { askRegion, OWN_TIMEOUT_MS } from '../region-calls.ts';
import { refusedBy, reply } from '../reply.ts';
import { assignmentJson } from '../views.ts';

export const AGENT_BEAT_ENDPOINTS = [
  endpoint({
    name: 'heartbeat',
    doc: {
      summary: 'Say that an agent is alive, and renew the leases it holds',
      description: 'An agent whose token is half used finds a fresh one in `token`.',
      responses: { 200: HeartbeatReplySchema },
    },
    id: 'agent',
    body: HeartbeatSchema,
    keyed: true,
    async handle(context, { id, body }) {
      const token = await renewedToken(context);
      return act(
        context,
        id,
        { type: 'heartbeat', agentId: id.text, ...body },
        { status: 200, write: (beat) => JSON.stringify(token === null ? beat : { ...beat, token }) },
      );
    },
  }),

  endpoint({
    name: 'poll',
    doc: {
      summary: 'Take assignments without a socket',
      description: 'Waits up to `waitMs`; an assignment is given again until its first progress.',
      responses: { 200: PollReplySchema, 204: null },
    },
    id: 'agent',
    body: PollSchema,
    async handle(context, { id, body }) {
      const waiterId = crypto.randomUUID();
      const leave = (): void => {
        context.execution.waitUntil(
          askRegion(context, id.region, OWN_TIMEOUT_MS, async (binding) => ({
            ok: true as const,
            value: await binding.withdraw(context.caller, id.pool, id.shard, waiterId),
          })),
        );
      };
      const { signal } = context.request;
      if (body.waitMs > 0) signal.addEventListener('abort', leave);
      const polled = await askRegion(context, id.region, OWN_TIMEOUT_MS + body.waitMs, (binding) =>
        binding.poll(context.caller, id.text, { waiterId, ...body }),
      );
      signal.removeEventListener('abort', leave);
      if (!polled.ok) return refusedBy(id.region, polled);
      const { assignments, revoked } = polled.value;
      if (assignments.length + revoked.length === 0) return reply(204, null, { region: id.region });
      const parts = { assignments: jsonArray(assignments.map(assignmentJson)) };
      return reply(200, jsonWith(revoked.length === 0 ? {} : { revoked }, parts), { region: id.region });
    },
  }),
];
