import { ok } from '../../../shared/result.ts';
import { endpoint } from '../endpoint.ts';
import { fleetStatus } from '../fleet-status.ts';
import { prometheusText } from '../metrics.ts';

export const METRICS_ENDPOINTS = [
  endpoint({
    name: 'metrics',
    doc: { summary: 'The caller’s fleet in Prometheus’ text format', responses: { 200: null } },
    handle: async (context) =>
      ok({
        status: 200,
        body: prometheusText(await fleetStatus(context)),
        contentType: 'text/plain; version=0.0.4; charset=utf-8',
      }),
  }),
];
