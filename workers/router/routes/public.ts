import { Scalar } from '@scalar/hono-api-reference';
import * as z from 'zod';
import { PROBLEMS } from '../../../shared/problem.ts';
import { within } from '../../../durable-objects/lib/within.ts';
import type { RegionId } from '../../../regions/table.ts';
import { bindingOf } from '../context.ts';
import { endpoint, type Endpoint } from '../endpoint.ts';
import type { RouterConfig } from '../env.ts';

const READY_WITHIN_MS = 1_000;

const HealthSchema = z.object({ status: z.literal('ok') });
const ReadySchema = z.object({
  status: z.enum(['ready', 'degraded']),
  regions: z.record(z.string(), z.enum(['ok', 'unavailable'])),
});

/** Whether each region answers in time. */
export async function readiness(config: RouterConfig): Promise<{ readonly ready: boolean; readonly body: object }> {
  const ask = async (region: RegionId): Promise<readonly [string, 'ok' | 'unavailable']> => {
    try {
      await within(READY_WITHIN_MS, bindingOf(config, region).health());
      return [region, 'ok'];
    } catch {
      return [region, 'unavailable'];
    }
  };
  const regions = await Promise.all(config.regions.map(ask));
  const up = regions.filter(([, state]) => state === 'ok').length;
  const status = up === regions.length ? 'ready' : 'degraded';
  return { ready: up > 0, body: { status, regions: Object.fromEntries(regions) } };
}

/** The reference page: its one script is ours, and it may talk to nobody but this origin. */
export const referencePage = Scalar({
  url: '/openapi.json',
  cdn: '/assets/scalar.js',
  pageTitle: 'Fleet Manager',
  withDefaultFonts: false,
  // No icon to ask for, no buttons that lead to somebody else's service.
  favicon: 'data:,',
  showDeveloperTools: 'never',
  hideClientButton: true,
  authentication: { preferredSecurityScheme: 'bearer' },
  telemetry: false,
  agent: { disabled: true },
  mcp: { disabled: true },
});

export const PAGE_POLICY =
  "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** What `type` of a problem points at: every code, its status and its meaning. */
export function problemsPage(): string {
  const rows = Object.entries(PROBLEMS).map(
    ([code, { status, title }]) => `<tr id="${code}"><td><code>${code}</code></td><td>${status}</td><td>${title}</td></tr>`,
  );
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Problems</title>
<style>body{font:16px/1.5 system-ui;margin:3rem auto;max-width:48rem}td{padding:.3rem 1rem .3rem 0}:target{background:#ffd}</style>
<h1>Problems</h1><p>Errors are <code>application/problem+json</code> (RFC 9457). <code>code</code> is one of these.</p>
<table>${rows.join('')}</table></html>`;
}

const words = (
  name: 'health' | 'ready' | 'openapi' | 'docs' | 'problems' | 'assets',
  summary: string,
  schema: z.ZodType | null,
): Endpoint =>
  endpoint({
    name,
    doc: { summary, responses: { 200: schema } },
    handle: () => Promise.reject(new Error('public routes are served by the app')),
  });

/** For the document only: public routes have no token, no body and no pipeline. */
export const PUBLIC_ENDPOINTS = [
  words('health', 'Whether the router runs; asks nobody', HealthSchema),
  words('ready', 'Whether the regions answer', ReadySchema),
  words('openapi', 'This document', z.looseObject({})),
  words('docs', 'The API reference, as a page', null),
  words('problems', 'Every problem code, as a page', null),
  words('assets', 'Files of the pages', null),
];
