import { createRoute, type OpenAPIHono } from '@hono/zod-openapi';
import * as z from 'zod';
import { ProblemSchema } from '../../shared/schemas/problem.ts';
import { IdempotencyKeySchema } from '../../shared/schemas/common.ts';
import type { Endpoint } from './endpoint.ts';
import type { RouterEnv } from './env.ts';
import { ROUTES, type Access, type RouteName } from './route-table.ts';

export type App = OpenAPIHono<{ Bindings: RouterEnv }>;

const JSON_TYPE = 'application/json';
export const SQLITE_TYPE = 'application/vnd.sqlite3';
const FILE = z.string().meta({ format: 'binary' });
const PROBLEM = {
  description: 'A problem (RFC 9457); `code` says which',
  content: { 'application/problem+json': { schema: ProblemSchema } },
};
const KeyHeader = z.object({
  'idempotency-key': IdempotencyKeySchema.optional().meta({
    description: 'The caller’s name for this request: a repeat gets the same answer',
  }),
});

/** Describes a route from the table, its schemas and its words. Handlers are registered apart: they read bodies themselves. */
export function describe(app: App, endpoint: Endpoint): void {
  const { name, doc, body, query, keyed } = endpoint;
  const { method, path, access } = ROUTES[name];
  const params = [...path.matchAll(/\{([a-z]+)\}/g)].map((match) => match[1] ?? '');
  app.openAPIRegistry.registerPath(
    createRoute({
      method: method.toLowerCase() as 'get' | 'post' | 'put' | 'delete',
      path,
      operationId: name,
      summary: doc.summary,
      description: [doc.description, accessText(access)].filter((text) => text !== undefined).join('\n\n'),
      tags: [tagOf(path)],
      security: access === 'public' ? [] : [{ bearer: [] }],
      request: {
        ...(params.length === 0 ? {} : { params: z.object(Object.fromEntries(params.map((param) => [param, z.string()]))) }),
        ...(query === undefined ? {} : { query: query as z.ZodObject }),
        ...(keyed === true ? { headers: KeyHeader } : {}),
        ...(endpoint.file === undefined
          ? {}
          : { body: { required: true, content: { [endpoint.file.types[0] ?? '']: { schema: FILE } } } }),
        ...(body === undefined
          ? {}
          : { body: { required: !body.safeParse({}).success, content: { [JSON_TYPE]: { schema: body } } } }),
      },
      responses: { ...responsesOf(endpoint), default: PROBLEM },
    }),
  );
}

function responsesOf({
  doc,
  name,
}: Endpoint): Record<string, { description: string; content?: Record<string, { schema: z.ZodType }> }> {
  return Object.fromEntries(
    Object.entries(doc.responses).map(([status, schema]) => [
      status,
      {
        description: DESCRIPTIONS[status] ?? doc.summary,
        ...(schema === null ? textOf(name, status) : { content: { [JSON_TYPE]: { schema } } }),
      },
    ]),
  );
}

const DESCRIPTIONS: Readonly<Record<string, string>> = {
  101: 'The session is open',
  200: 'Done',
  201: 'Made',
  202: 'Accepted',
  204: 'Done; nothing to say',
};

const textOf = (name: RouteName, status: string): { content?: Record<string, { schema: z.ZodType }> } =>
  name === 'metrics' && status === '200'
    ? { content: { 'text/plain': { schema: z.string() } } }
    : name === 'exportMemory' && status === '200'
      ? { content: { [SQLITE_TYPE]: { schema: FILE } } }
      : {};

function accessText(access: Access): string {
  if (access === 'public') return 'Public.';
  const agent =
    access.agent === 'self' ? ' The agent itself may, too.' : access.agent === 'own' ? ' An agent may for what is its own.' : '';
  return `Role: ${access.role} or higher.${agent}`;
}

/** In the order of the reference page. */
const TAGS = ['allocations', 'tasks', 'agents', 'memory', 'booster', 'pools', 'fleet', 'tokens', 'operations'];

function tagOf(path: string): string {
  if (path === '/v1/chat/completions' || path === '/v1/apply') return 'booster';
  const part = path.split('/')[2];
  return path.startsWith('/v1/') && part !== undefined ? part : 'operations';
}

/** The whole document; made once per isolate, as nothing in it depends on a request. */
export function openApiText(app: App): string {
  app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' });
  return JSON.stringify(
    app.getOpenAPI31Document({
      openapi: '3.1.0',
      info: {
        title: 'Fleet Manager',
        version: '1',
        description:
          'Allocate agents and run tasks over several regions. Times end in `AtMs` (epoch milliseconds), durations in `Ms`; ids are opaque; errors are problem+json.',
      },
      servers: [{ url: '/' }],
      tags: TAGS.map((name) => ({ name })),
    }),
  );
}
