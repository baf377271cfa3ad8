import { OpenAPIHono } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { COLLECTOR } from '../../durable-objects/lib/quiet-collector.ts';
import { notFound, type FleetError } from '../../shared/errors.ts';
import { err, ok } from '../../shared/result.ts';
import { errorText, log } from '../lib/log.ts';
import { requestIdOf } from '../lib/request-id.ts';
import { authenticate } from './auth/authenticate.ts';
import { bearerToken } from './auth/bearer.ts';
import type { Execution } from './context.ts';
import type { Endpoint, ErrorWriter } from './endpoint.ts';
import { configOf, knownConfig, type RouterConfig, type RouterEnv } from './env.ts';
import { commonHeaders, finish } from './finish.ts';
import { preflight } from './headers.ts';
import { ISOLATE } from './isolate.ts';
import { describe, openApiText, type App } from './openapi.ts';
import type { Outcome } from './reply.ts';
import { methodsOf, ROUTES, type RouteName } from './route-table.ts';
import { AGENT_BATCH_ENDPOINTS } from './routes/agent-batches.ts';
import { AGENT_BEAT_ENDPOINTS } from './routes/agent-beats.ts';
import { AGENT_ENDPOINTS } from './routes/agents.ts';
import { ALLOCATION_BATCH_ENDPOINTS } from './routes/allocation-batch.ts';
import { ALLOCATION_ENDPOINTS } from './routes/allocations.ts';
import { BOOSTER_ENDPOINTS } from './routes/booster.ts';
import { BOOSTER_DROP_IN_ENDPOINTS } from './routes/booster-drop-in.ts';
import { FLEET_ENDPOINTS } from './routes/fleet.ts';
import { MEMORY_ENTRY_ENDPOINTS } from './routes/memory-entries.ts';
import { MEMORY_SET_ENDPOINTS } from './routes/memory-sets.ts';
import { MEMORY_WORK_ENDPOINTS } from './routes/memory-work.ts';
import { METRICS_ENDPOINTS } from './routes/metrics.ts';
import { POOL_ENDPOINTS } from './routes/pools.ts';
import { PAGE_POLICY, problemsPage, PUBLIC_ENDPOINTS, readiness, referencePage } from './routes/public.ts';
import { REVOKE_ENDPOINTS } from './routes/revoke.ts';
import { SESSION_ENDPOINTS } from './routes/session.ts';
import { TASK_RESULT_ENDPOINTS } from './routes/task-results.ts';
import { TASK_ENDPOINTS } from './routes/tasks.ts';
import { TOKEN_ENDPOINTS } from './routes/tokens.ts';
import { serve, type Incoming } from './serve.ts';

type AppContext = Context<{ Bindings: RouterEnv }>;

// Fixed paths before those with a parameter, so that the router can keep its fastest form.
const ENDPOINTS: readonly Endpoint[] = [
  ...ALLOCATION_BATCH_ENDPOINTS,
  ...REVOKE_ENDPOINTS,
  ...ALLOCATION_ENDPOINTS,
  ...AGENT_BATCH_ENDPOINTS,
  ...AGENT_ENDPOINTS,
  ...AGENT_BEAT_ENDPOINTS,
  ...SESSION_ENDPOINTS,
  ...TASK_ENDPOINTS,
  ...TASK_RESULT_ENDPOINTS,
  ...MEMORY_SET_ENDPOINTS,
  ...MEMORY_WORK_ENDPOINTS,
  ...MEMORY_ENTRY_ENDPOINTS,
  ...BOOSTER_ENDPOINTS,
  ...BOOSTER_DROP_IN_ENDPOINTS,
  ...FLEET_ENDPOINTS,
  ...POOL_ENDPOINTS,
  ...TOKEN_ENDPOINTS,
  ...METRICS_ENDPOINTS,
];

const NOT_CONFIGURED: FleetError = {
  kind: 'not_configured',
  detail: 'This deployment is not configured. Its log says what is missing.',
};
const INTERNAL: FleetError = { kind: 'internal', detail: 'Something went wrong here. The request id finds it in the log.' };

const UNREACHABLE: FleetError = { kind: 'overloaded', retryAfterMs: 1_000, detail: 'The fleet’s record does not answer.' };

/** Marks that the platform puts on what an object, or the way to it, threw: a fault of the world, not of this code. */
const isRemote = (error: unknown): boolean =>
  typeof error === 'object' &&
  error !== null &&
  ['remote', 'retryable', 'overloaded', 'durableObjectReset'].some((mark) => (error as Record<string, unknown>)[mark] === true);

/** One request, from what the framework gives to the response. `work` gets a usable configuration. */
async function respond(
  c: AppContext,
  template: string,
  work: (incoming: Incoming) => Promise<Outcome>,
  extra: (outcome: Outcome, config: RouterConfig | null) => Readonly<Record<string, string>> = () => ({}),
  writeError?: ErrorWriter,
): Promise<Response> {
  COLLECTOR?.came();
  const startedAtMs = Date.now();
  const request = c.req.raw;
  const pathname = c.req.path;
  const requestId = requestIdOf(request.headers.get('x-request-id'));
  let config: RouterConfig | null = null;
  let outcome: Outcome;
  try {
    config = knownConfig(c.env) ?? (await configOf(c.env));
    outcome =
      config === null
        ? err(NOT_CONFIGURED)
        : await work({
            request,
            pathname,
            requestId,
            config,
            state: ISOLATE,
            execution: executionOf(c),
            params: c.req.param(),
            query: () => c.req.query(),
            fleet: (name) => c.env.FLEET.getByName(name),
          });
  } catch (error) {
    log('error', 'unexpected', { requestId, route: template, error: errorText(error) });
    outcome = err(isRemote(error) ? UNREACHABLE : INTERNAL);
  }
  const response = finish(outcome, { request, pathname, requestId, config, writeError }, extra(outcome, config));
  COLLECTOR?.served((work) => executionOf(c).waitUntil(work));
  if (response.status >= 500 || config?.logRequests === true) {
    const region = outcome.ok ? outcome.value.region : outcome.region;
    log(response.status >= 500 ? 'error' : 'debug', 'request', {
      requestId,
      route: template,
      status: response.status,
      ms: Date.now() - startedAtMs,
      region,
      ...(outcome.ok ? {} : { code: outcome.error.kind }),
    });
  }
  return response;
}

function executionOf(c: AppContext): Execution {
  try {
    return c.executionCtx;
  } catch {
    // Outside of the platform's runtime nothing keeps the isolate alive, and nothing has to.
    return { waitUntil: (work) => void work.catch(() => undefined) };
  }
}

const honoPath = (name: RouteName): string => ROUTES[name].path.replaceAll(/\{([a-z]+)\}/g, ':$1');

/** A path or verb that is nobody's: 401 first, then 404 or, where the path has other verbs, 405. */
async function unmatched(incoming: Incoming, methods: readonly string[]): Promise<Outcome> {
  const isPublic =
    methods.length > 0 && Object.values(ROUTES).some(({ path, access }) => access === 'public' && path === incoming.pathname);
  if (!isPublic) {
    const authenticated = await authenticate({ ...incoming, token: bearerToken(incoming.request.headers) });
    if (!authenticated.ok) return authenticated;
  }
  return err(
    methods.length === 0 ? notFound('route') : { kind: 'method_not_allowed', detail: `This path takes ${methods.join(', ')}.` },
  );
}

/** The whole router. Its state is the isolate's, so one app per isolate is enough. */
export function createApp(): App {
  const app: App = new OpenAPIHono<{ Bindings: RouterEnv }>();
  for (const endpoint of [...ENDPOINTS, ...PUBLIC_ENDPOINTS]) describe(app, endpoint);
  servePublic(app);
  for (const endpoint of ENDPOINTS) {
    const { method, path } = ROUTES[endpoint.name];
    const template = `${method} ${path}`;
    app.on(method, honoPath(endpoint.name), (c) =>
      respond(c, template, (incoming) => serve(endpoint, incoming), undefined, endpoint.writeError),
    );
  }
  app.notFound(async (c) => {
    const config = knownConfig(c.env) ?? (await configOf(c.env));
    const allowed = preflight(c.req.raw, config);
    const methods = methodsOf(c.req.path);
    if (allowed !== null && methods.length > 0) {
      const requestId = requestIdOf(c.req.header('x-request-id') ?? null);
      const common = commonHeaders({ request: c.req.raw, pathname: c.req.path, requestId, config });
      return new Response(null, { status: 204, headers: { ...common, ...allowed } });
    }
    return respond(
      c,
      'unmatched',
      (incoming) => unmatched(incoming, methods),
      (outcome) => allowHeader(outcome, methods),
    );
  });
  return app;
}

const allowHeader = (outcome: Outcome, methods: readonly string[]): Readonly<Record<string, string>> =>
  !outcome.ok && outcome.error.kind === 'method_not_allowed' ? { allow: methods.join(', ') } : {};

function servePublic(app: App): void {
  let document: string | null = null;
  const page = { 'content-security-policy': PAGE_POLICY };
  // No configuration, no call: this one must answer when nothing else can.
  app.get(honoPath('health'), (c) => {
    const facts = {
      request: c.req.raw,
      pathname: c.req.path,
      requestId: requestIdOf(c.req.header('x-request-id') ?? null),
      config: null,
    };
    return finish(ok({ status: 200, body: '{"status":"ok"}' }), facts);
  });
  app.get(honoPath('ready'), (c) =>
    respond(c, 'GET /readyz', async ({ config }) => {
      const { ready, body } = await readiness(config);
      return ready
        ? ok({ status: 200, body: JSON.stringify(body) })
        : err({ kind: 'region_unavailable', retryAfterMs: 1_000, detail: 'No region answers.' });
    }),
  );
  app.get(honoPath('openapi'), (c) =>
    respond(c, 'GET /openapi.json', () => {
      document ??= openApiText(app);
      return Promise.resolve(ok({ status: 200, body: document }));
    }),
  );
  app.get(honoPath('docs'), (c, next) =>
    respond(
      c,
      'GET /docs',
      async () => {
        // The page's handler is typed for an app without bindings; it reads none.
        const rendered = await referencePage(c as unknown as Parameters<typeof referencePage>[0], next);
        // Without an icon in the page a browser asks for one, and is refused.
        const body =
          rendered instanceof Response ? (await rendered.text()).replace('<head>', '<head><link rel="icon" href="data:,">') : '';
        return ok({ status: 200, body, contentType: 'text/html; charset=utf-8' });
      },
      () => page,
    ),
  );
  app.get(honoPath('problems'), (c) =>
    respond(
      c,
      'GET /docs/problems',
      () => Promise.resolve(ok({ status: 200, body: problemsPage(), contentType: 'text/html; charset=utf-8' })),
      () => page,
    ),
  );
  app.get(honoPath('assets'), async (c) => {
    const requestId = requestIdOf(c.req.header('x-request-id') ?? null);
    const facts = { request: c.req.raw, pathname: c.req.path, requestId, config: null };
    const config = knownConfig(c.env) ?? (await configOf(c.env));
    if (config === null) return finish(err(NOT_CONFIGURED), facts);
    const file = await c.env.ASSETS?.fetch(c.req.raw);
    if (file === undefined || file.status !== 200) return finish(err(notFound('file')), facts);
    const headers = new Headers(file.headers);
    for (const [name, value] of Object.entries(commonHeaders(facts))) headers.set(name, value);
    headers.set('cache-control', 'public, max-age=3600');
    return new Response(file.body, { status: 200, headers });
  });
}
