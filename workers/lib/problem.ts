import type { FleetError } from '../../shared/errors.ts';
import { problemOf } from '../../shared/problem.ts';

/** The reply to an expected failure: problem+json, with Retry-After where waiting helps (seconds, rounded up). */
export function problemResponse(
  error: FleetError,
  where: { readonly instance: string; readonly requestId: string; readonly headers?: Readonly<Record<string, string>> },
): Response {
  const problem = problemOf(error, where);
  const headers: Record<string, string> = { 'content-type': 'application/problem+json', ...where.headers };
  if (problem.retryAfterMs !== undefined && (problem.status === 429 || problem.status === 503)) {
    headers['retry-after'] = String(Math.max(1, Math.ceil(problem.retryAfterMs / 1_000)));
  }
  // RFC 6750: a bearer challenge, without a hint of what was wrong with the token.
  if (problem.status === 401) headers['www-authenticate'] = 'Bearer realm="fleet"';
  return new Response(JSON.stringify(problem), { status: problem.status, headers });
}
