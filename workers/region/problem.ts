import type { FleetError } from '../../shared/errors.ts';
import { PROBLEMS, problemOf } from '../../shared/problem.ts';

/** An error as an HTTP answer, for the two requests of a region that are not RPC: a session's upgrade, and strangers'. */
export function problemResponse(error: FleetError, request: Request, requestId: string): Response {
  const problem = problemOf(error, { instance: new URL(request.url).pathname, requestId });
  return new Response(JSON.stringify(problem), {
    status: PROBLEMS[error.kind].status,
    headers: { 'content-type': 'application/problem+json', 'cache-control': 'no-store' },
  });
}
