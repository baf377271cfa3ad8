import {
  HeartbeatItemSchema,
  HeartbeatReplySchema,
  HeartbeatsSchema,
  RegisterAgentSchema,
  RegisterAgentsSchema,
  RegisteredAgentSchema,
} from '../../../shared/schemas/agents.ts';
import { notFound, type FleetError } from '../../../shared/errors.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import type { PoolOutput } from '../../../shared/rpc.ts';
import { batchOf } from '../../../shared/schemas/common.ts';
import { validate } from '../../lib/validate.ts';
import { mintAgentToken, renewedToken } from '../agent-tokens.ts';
import { executeAddressed, itemId, soleRegion, splitKey, type AddressedItem } from '../batches.ts';
import type { RequestContext } from '../context.ts';
import { endpoint } from '../endpoint.ts';
import { itemKey } from '../idempotency.ts';
import { registerAll, registered, type Registration } from '../register.ts';
import { batchItem, batchReply } from '../reply.ts';
import { registeredAgentJson } from '../views.ts';

/** An item is a registration with, beside it, a key of its own. */
function readRegistration(context: RequestContext, item: unknown): Result<Registration, FleetError> {
  const split = splitKey(item);
  if (!split.ok) return split;
  const agent = validate(RegisterAgentSchema, split.value.rest);
  return agent.ok ? ok({ agent: agent.value, idempotency: itemKey(context, split.value.key, item) }) : agent;
}

function readBeat(context: RequestContext, item: unknown): Result<AddressedItem, FleetError> {
  const beat = validate(HeartbeatItemSchema, item);
  if (!beat.ok) return beat;
  const { id: text, ...rest } = beat.value;
  const id = itemId(context, 'agent', text);
  if (!id.ok) return id;
  if (context.caller.agentId !== undefined && context.caller.agentId !== text) return err(notFound('agent'));
  return ok({ id: id.value, request: { command: { type: 'heartbeat', agentId: text, ...rest } } });
}

export const AGENT_BATCH_ENDPOINTS = [
  endpoint({
    name: 'registerAgents',
    doc: { summary: 'Register up to 1,000 agents', responses: { 200: batchOf(RegisteredAgentSchema) } },
    body: RegisterAgentsSchema,
    async handle(context, { body }) {
      const placed = await registerAll(
        context,
        body.agents.map((item) => readRegistration(context, item)),
      );
      const where = { instance: context.pathname, requestId: context.requestId };
      const items = placed.map(async (one) => {
        const agent = registered(one);
        if (!agent.ok) return batchItem(agent, where);
        const json = registeredAgentJson(agent.value, await mintAgentToken(context, agent.value));
        return batchItem(ok({ status: 201, body: json }), where);
      });
      return batchReply(await Promise.all(items), soleRegion(placed.map((one) => one.region)));
    },
  }),

  endpoint({
    name: 'heartbeats',
    doc: { summary: 'Beats of up to 1,000 agents', responses: { 200: batchOf(HeartbeatReplySchema) } },
    body: HeartbeatsSchema,
    async handle(context, { body }) {
      const read = body.agents.map((item) => readBeat(context, item));
      const addressed = read.flatMap((item) => (item.ok ? [item.value] : []));
      const answers = [...(await executeAddressed(context, addressed))];
      const token = await renewedToken(context);
      const where = { instance: context.pathname, requestId: context.requestId };
      const items = read.map((item) => {
        const answer = item.ok ? answers.shift() : item;
        if (answer === undefined || !answer.ok) return batchItem(answer ?? err(notFound('agent')), where);
        const beat = answer.value as PoolOutput<'heartbeat'>;
        return batchItem(ok({ status: 200, body: JSON.stringify(token === null ? beat : { ...beat, token }) }), where);
      });
      return batchReply(items, soleRegion(addressed.map(({ id }) => id.region)));
    },
  }),
];
