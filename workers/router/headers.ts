import type { RouterConfig } from './env.ts';

/**
 * On every reply. An API answer is data: no page of ours or others may run, frame or guess a type from it. Not one more than
 * says that, because each costs the runtime some of every request.
 */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
};

/** RFC 6797, section 7.2: over TLS only. */
export const TRANSPORT_SECURITY: Readonly<Record<string, string>> = {
  'strict-transport-security': 'max-age=31536000; includeSubDomains',
};

const EXPOSED = 'X-Request-Id, X-Fleet-Region, Idempotency-Replayed, Retry-After';
const ALLOWED_METHODS = 'GET, POST, PUT, DELETE';
const ALLOWED_HEADERS = 'Authorization, Content-Type, Idempotency-Key, X-Request-Id, X-Fleet-Geo';

/** Whether a page of this origin may call: only those of the allow-list, and by default none. */
export const mayReadFrom = (config: RouterConfig | null, origin: string | null): origin is string =>
  origin !== null && config !== null && config.corsOrigins.has(origin);

/** Lets the allowed origin's page read the reply. */
export const corsHeaders = (origin: string): Readonly<Record<string, string>> => ({
  'access-control-allow-origin': origin,
  'access-control-expose-headers': EXPOSED,
  vary: 'Origin',
});

/** The answer to a preflight of an allowed origin; null for any other request. */
export function preflight(request: Request, config: RouterConfig | null): Readonly<Record<string, string>> | null {
  const origin = request.headers.get('origin');
  if (request.method !== 'OPTIONS' || !request.headers.has('access-control-request-method') || !mayReadFrom(config, origin))
    return null;
  return {
    ...corsHeaders(origin),
    'access-control-allow-methods': ALLOWED_METHODS,
    'access-control-allow-headers': ALLOWED_HEADERS,
    'access-control-max-age': '600',
  };
}
