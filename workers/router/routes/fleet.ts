import { candidateRegions } from '../../../regions/rank.ts';
import { resolveResidency } from '../../../regions/residency.ts';
import type { FleetError } from '../../../shared/errors.ts';
import { err } from '../../../shared/result.ts';
import { FleetSettingsSchema, FleetStatusSchema, type FleetSettings } from '../../../shared/schemas/fleet.ts';
import { invalidField } from '../../lib/validate.ts';
import type { RequestContext } from '../context.ts';
import { endpoint } from '../endpoint.ts';
import { fleetStatusText } from '../fleet-status.ts';
import { configuredRegion } from '../placement.ts';
import { ConfirmQuerySchema } from '../queries.ts';
import { reply, replyJson } from '../reply.ts';
import { rememberFleet } from '../isolate.ts';

/** A rule that names no region here, or leaves none, is refused when it is set and not when it first matters. */
function refusedSettings(context: RequestContext, settings: FleetSettings): FleetError | null {
  const configured = context.config.regions;
  const allowed = resolveResidency({ configured, fleet: settings.residency });
  if (!allowed.ok) return allowed.error;
  if (settings.homeRegion === undefined) return null;
  const home = configuredRegion(context, settings.homeRegion);
  if (!home.ok) return home.error;
  const lawful = candidateRegions({ configured, fleet: settings.residency, region: home.value, from: null });
  return lawful.ok ? null : lawful.error;
}

export const FLEET_ENDPOINTS = [
  endpoint({
    name: 'getFleet',
    doc: { summary: 'Read the fleet’s settings', responses: { 200: FleetSettingsSchema } },
    handle: async (context) => replyJson(200, (await context.fleet().snapshot(context.claims.fleet)).settings),
  }),

  endpoint({
    name: 'putFleet',
    doc: { summary: 'Replace the fleet’s settings', responses: { 200: FleetSettingsSchema } },
    body: FleetSettingsSchema,
    async handle(context, { body }) {
      const refused = refusedSettings(context, body);
      if (refused !== null) return err(refused);
      const snapshot = await context.fleet().putSettings(context.claims.fleet, context.caller, body);
      rememberFleet(snapshot);
      return replyJson(200, snapshot.settings);
    },
  }),

  endpoint({
    name: 'deleteFleet',
    doc: {
      summary: 'Delete the fleet with everything in it',
      description:
        'Every token of the fleet is refused from then on; only the local root token outlives its fleet. 202 names regions that could not be reached yet: they are purged when they can be.',
      responses: { 204: null, 202: null },
    },
    query: ConfirmQuerySchema,
    async handle(context, { query }) {
      const name = context.claims.fleet;
      if (query.confirm !== name) return err(invalidField('confirm', 'must be the name of the fleet'));
      const { snapshot, pending } = await context.fleet().deleteFleet(name, context.caller);
      rememberFleet(snapshot);
      return pending.length === 0 ? reply(204, null) : replyJson(202, { pending });
    },
  }),

  endpoint({
    name: 'fleetStatus',
    doc: {
      summary: 'Agents and tasks of all regions and pools',
      description:
        'Read from counters that follow an acknowledged change within 500 ms. A region with `fresh: false` did not answer.',
      responses: { 200: FleetStatusSchema },
    },
    handle: async (context) => reply(200, await fleetStatusText(context)),
  }),
];
