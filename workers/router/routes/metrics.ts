import { ok } from '../../../shared/result.ts';
import type { BoosterStatus } from '../../../shared/schemas/booster.ts';
import type { RequestContext } from '../context.ts';
import { endpoint } from '../endpoint.ts';
import { fleetStatus } from '../fleet-status.ts';
import { prometheusText } from '../metrics.ts';
import { callRegion, PLACING_TIMEOUT_MS } from '../region-calls.ts';

/** Of the regions that answer; the others have lines of their own in `fleet_region_up`. */
async function boosterStatuses(context: RequestContext): Promise<readonly BoosterStatus[]> {
  const asked = await Promise.all(
    context.config.regions.map((region) =>
      callRegion(context, region, PLACING_TIMEOUT_MS, (binding) => binding.boosterStatus(context.caller)),
    ),
  );
  return asked.flatMap((one) => (one.ok ? [one.value] : []));
}

export const METRICS_ENDPOINTS = [
  endpoint({
    name: 'metrics',
    doc: { summary: 'The caller’s fleet in Prometheus’ text format', responses: { 200: null } },
    async handle(context) {
      const [status, boosters] = await Promise.all([fleetStatus(context), boosterStatuses(context)]);
      const contentType = 'text/plain; version=0.0.4; charset=utf-8';
      return ok({ status: 200, body: prometheusText(status, boosters), contentType });
    },
  }),
];
