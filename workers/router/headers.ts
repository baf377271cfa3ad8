import type { RouterConfig } from './env.ts';

/** On every reply. An API answer is data: no page of ours or others may run, frame or guess a type from it. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'strict-transport-security': 'max-age=31536000; includeSubDomains',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
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
  'cross-origin-resource-policy': 'cross-origin',
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
