import type * as z from 'zod';
import type { FleetError } from '../../shared/errors.ts';
import type { IdKind } from '../../shared/ids.ts';
import type { PathId, RequestContext } from './context.ts';
import type { Outcome } from './reply.ts';
import type { RouteName } from './route-table.ts';

/** What the OpenAPI document says of a route beyond what the table and the schemas say. */
export interface EndpointDoc {
  readonly summary: string;
  readonly description?: string;
  readonly responses: Readonly<Record<number, z.ZodType | null>>;
}

/** A refusal in another shape than ours. */
export type ErrorWriter = (error: FleetError) => { readonly status: number; readonly body: object };

/**
 * One route: its schemas, its description, its handler. The pipeline has done everything the contract orders before a
 * handler runs: authentication, role, ids, body, schema, rate.
 */
export interface Endpoint<Body = unknown, Query = unknown> {
  readonly name: RouteName;
  readonly doc: EndpointDoc;
  /** Kind of the path's `{id}`; the pipeline parses it and answers 404 for what is no id of this deployment. */
  readonly id?: IdKind;
  readonly body?: z.ZodType<Body>;
  /** Largest body in bytes; by default that of the limits. */
  readonly bodyBytes?: number;
  readonly query?: z.ZodType<Query>;
  /** The body is a file and not JSON; the handler gets its bytes. */
  readonly file?: { readonly limitBytes: number; readonly types: readonly string[] };
  /** What is refused before the body is looked at, with 403: what the caller may not reach whatever it sends. */
  readonly refuse?: (context: RequestContext, query: Readonly<Record<string, string>>) => FleetError | null;
  /** How a refusal is written where the route speaks another API's language; by default as problem+json. */
  readonly writeError?: ErrorWriter;
  /** `Idempotency-Key` is understood. */
  readonly keyed?: boolean;
  /**
   * Whether what the path names exists, asked only when the body or query is bad: 404 comes before them. By default the
   * thing that the path's id names is looked up.
   */
  readonly missing?: (context: RequestContext) => Promise<FleetError | null>;
  handle(context: RequestContext, input: { readonly body: Body; readonly query: Query; readonly id: PathId }): Promise<Outcome>;
}

/** Lets a handler's input types follow from its schemas. */
export const endpoint = <Body = undefined, Query = undefined>(spec: Endpoint<Body, Query>): Endpoint => spec;
