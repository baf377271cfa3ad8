import { SESSION_PROTOCOL } from '../../../shared/schemas/session.ts';

const BEARER = /^Bearer +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)$/i;
const PROTOCOL_PREFIX = 'bearer.';

/** The token of the `Authorization` header; null for none, or for anything that is not one bearer token. */
export function bearerToken(headers: Headers): string | null {
  const header = headers.get('authorization');
  return header === null ? null : (BEARER.exec(header)?.[1] ?? null);
}

/**
 * The token of a session's upgrade: browsers cannot set headers there, so it may travel as a subprotocol beside
 * `fleet.v1`. Never in the URL, which ends up in logs.
 */
export function sessionToken(headers: Headers): string | null {
  const token = bearerToken(headers);
  if (token !== null || headers.has('authorization')) return token;
  const offered = (headers.get('sec-websocket-protocol') ?? '').split(',').map((protocol) => protocol.trim());
  const tokens = offered.filter((protocol) => protocol.startsWith(PROTOCOL_PREFIX));
  if (!offered.includes(SESSION_PROTOCOL) || tokens.length !== 1) return null;
  return bearerToken(new Headers({ authorization: `Bearer ${tokens[0]?.slice(PROTOCOL_PREFIX.length) ?? ''}` }));
}
