import {
  AgentSchema,
  DrainAgentSchema,
  QuarantineAgentSchema,
  RegisterAgentSchema,
  RegisteredAgentSchema,
} from '../../../shared/schemas/agents.ts';
import { pageOf } from '../../../shared/schemas/common.ts';
import { defined } from '../../lib/defined.ts';
import { mintAgentToken } from '../agent-tokens.ts';
import { act, show } from '../commands.ts';
import { endpoint } from '../endpoint.ts';
import { requestKey } from '../idempotency.ts';
import { listAcrossRegions } from '../lists.ts';
import { noteRemoved } from '../fleet-quota.ts';
import { findAgent } from '../lookup.ts';
import { ForceQuerySchema, ListAgentsQuerySchema } from '../queries.ts';
import { askRegion, OWN_TIMEOUT_MS } from '../region-calls.ts';
import { registerAll, registered } from '../register.ts';
import { refusedBy, reply } from '../reply.ts';
import { agentJson, registeredAgentJson } from '../views.ts';

export const AGENT_ENDPOINTS = [
  endpoint({
    name: 'registerAgent',
    doc: { summary: 'Register an agent', responses: { 201: RegisteredAgentSchema } },
    body: RegisterAgentSchema,
    keyed: true,
    async handle(context, { body }) {
      const [placed] = await registerAll(context, [{ ok: true, value: { agent: body, idempotency: requestKey(context) } }]);
      if (placed === undefined) throw new Error('a registration without an answer');
      const agent = registered(placed);
      if (!agent.ok) return refusedBy(placed.region, agent);
      const token = await mintAgentToken(context, agent.value);
      const replayed = placed.reply.replayed;
      return reply(201, registeredAgentJson(agent.value, token), { region: agent.value.region, replayed });
    },
  }),

  endpoint({
    name: 'listAgents',
    doc: { summary: 'List agents', responses: { 200: pageOf(AgentSchema) } },
    query: ListAgentsQuerySchema,
    handle: (context, { query: { limit, cursor, region, ...filter } }) =>
      listAcrossRegions(context, {
        kind: 'agent',
        filter,
        region,
        limit,
        cursor,
        write: agentJson,
        fetch: (at, after, count) =>
          askRegion(context, at, OWN_TIMEOUT_MS, (binding) => binding.listAgents(context.caller, defined(filter), after, count)),
      }),
  }),

  endpoint({
    name: 'getAgent',
    doc: { summary: 'Read an agent', responses: { 200: AgentSchema } },
    id: 'agent',
    handle: async (context, { id }) => show(await findAgent(context, id), id.region, agentJson),
  }),

  endpoint({
    name: 'deregisterAgent',
    doc: {
      summary: 'Deregister an agent',
      description:
        'Without leases it is gone at once; otherwise it drains until its last lease ends or five minutes pass. `force` revokes its leases.',
      responses: { 200: AgentSchema },
    },
    id: 'agent',
    query: ForceQuerySchema,
    async handle(context, { id, query }) {
      const { force } = query;
      const removed = await act(
        context,
        id,
        { type: 'deregisterAgent', agentId: id.text, force },
        { status: 200, write: agentJson },
      );
      if (removed.ok) await noteRemoved(context);
      return removed;
    },
  }),

  endpoint({
    name: 'drainAgent',
    doc: { summary: 'Give an agent no new work and let it finish', responses: { 200: AgentSchema } },
    id: 'agent',
    body: DrainAgentSchema,
    keyed: true,
    handle: (context, { id, body }) =>
      act(context, id, { type: 'drainAgent', agentId: id.text, deadlineMs: body.deadlineMs }, { status: 200, write: agentJson }),
  }),

  endpoint({
    name: 'quarantineAgent',
    doc: { summary: 'Take an agent out of service and revoke its leases at once', responses: { 200: AgentSchema } },
    id: 'agent',
    body: QuarantineAgentSchema,
    keyed: true,
    handle: (context, { id, body }) =>
      act(context, id, { type: 'quarantineAgent', agentId: id.text, ...defined(body) }, { status: 200, write: agentJson }),
  }),
];
