import { notFound, type FleetError } from '../../../shared/errors.ts';
import { MEMORY_LIMITS } from '../../../shared/memory-limits.ts';
import type { MemoryCommandMap } from '../../../shared/memory-rpc.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import type { Page } from '../../../shared/rpc.ts';
import type { Claim, ClaimInput, MemoryLease } from '../../../shared/schemas/memory.ts';
import { isInside } from './acl.ts';
import { globProblem, overlap, patternsOf } from './globs.ts';
import { dropOverClaims, holdLease, isOver, leaseFrom, leasesInDoubt } from './fences.ts';
import { audit, conflict, event, noteAgent, SWARM_WIDE } from './records.ts';
import { first, rows, run, sql, type Row, type Sql } from './sql.ts';
import { counters, forbidden, NOT_WRITABLE, type Step } from './step.ts';
import { startWrite } from './writing.ts';

interface ResourceRow extends Row {
  readonly id: string;
  readonly claim_id: string;
  readonly path: string;
  readonly mode: string;
  readonly agent_id: string;
  readonly fencing_token: number;
  readonly expires_at: number;
  readonly created_at: number;
  readonly allocation_id: string | null;
  readonly lease_token: number | null;
}

function viewOf(claim: readonly ResourceRow[]): Claim {
  const [row] = claim;
  if (row === undefined) throw new Error('a claim without a path');
  return {
    id: row.claim_id,
    paths: claim.map(({ path }) => path),
    mode: row.mode as Claim['mode'],
    holder: row.agent_id,
    fencingToken: row.fencing_token,
    expiresAtMs: row.expires_at,
    createdAtMs: row.created_at,
    ...(row.allocation_id === null ? {} : { allocationId: row.allocation_id }),
  };
}

/**
 * Claims paths until a moment. Nobody else's write claim may overlap a live one of any kind, and nobody else's read claim a
 * live write claim; the holder's own never stand in its way. The token rises over the whole swarm, so whatever guards the
 * files can refuse a holder that was replaced.
 */
export function claim(step: Step, input: ClaimInput): Result<Claim, FleetError> {
  const held = startWrite(step, input.lease);
  if (!held.ok) return held;
  if (!isInside(step.who)) return err(NOT_WRITABLE);
  for (const [i, path] of input.paths.entries()) {
    const problem = globProblem(path);
    if (problem !== null)
      return err({
        kind: 'validation_failed',
        errors: [{ path: `paths.${i}`, message: problem }],
        detail: `paths.${i}: ${problem}`,
      });
  }
  const { db, nowMs, who } = step;
  dropOverClaims(step);
  const live = rows<ResourceRow>(db, sql`SELECT * FROM resources`);
  if (live.length + input.paths.length > MEMORY_LIMITS.claims) {
    const limit = MEMORY_LIMITS.claims;
    return err({ kind: 'quota_exceeded', scope: 'swarm', limit, detail: 'Too many paths are claimed at once.' });
  }
  const wanted = input.paths.flatMap((path) => patternsOf(path));
  for (const other of live) {
    if (other.agent_id === who.subject || (input.mode === 'read' && other.mode === 'read')) continue;
    if (!overlap(wanted, patternsOf(other.path))) continue;
    conflict(step, { kind: 'claim', target: input.paths.join(' '), holder: other.agent_id }, SWARM_WIDE);
    return err({
      kind: 'invalid_state',
      state: 'claimed',
      detail: `${other.agent_id} holds a ${other.mode} claim on ${other.path}, fencing token ${other.fencing_token}.`,
    });
  }
  const fencingToken = counters(db).claim_token + 1;
  run(db, sql`UPDATE counters SET claim_token = ${fencingToken}`);
  const claimId = `clm.${step.ulid()}`;
  const expiresAt = nowMs + input.leaseMs;
  for (const [i, path] of input.paths.entries()) {
    run(
      db,
      sql`INSERT INTO resources (id, claim_id, path, mode, agent_id, fencing_token, expires_at, created_at, allocation_id, lease_token)
        VALUES (${`${claimId}.${String(i).padStart(3, '0')}`}, ${claimId}, ${path}, ${input.mode}, ${who.subject}, ${fencingToken},
        ${expiresAt}, ${nowMs}, ${held.value.allocationId}, ${held.value.fencingToken})`,
    );
  }
  event(step, 'claim.granted', { claimId, paths: input.paths, mode: input.mode });
  audit(step, 'claim', claimId, { fencingToken, mode: input.mode });
  step.count('claim');
  return ok(viewOf(partsOf(step, claimId)));
}

/** Leases of claims that one call asks the pools about. */
const ASKED_LEASES = 32;

/**
 * Leases under which others hold what stands in the way of `paths`, or hold anything (null): a lease that was given back tells
 * nobody here, so it is asked about before its claims are held against somebody.
 */
export function leasesOfClaims(db: Sql, paths: readonly string[] | null, subject: string, nowMs: number): readonly string[] {
  const live = rows<Pick<ResourceRow, 'allocation_id' | 'path' | 'agent_id'>>(
    db,
    sql`SELECT allocation_id, path, agent_id FROM resources WHERE expires_at > ${nowMs} AND allocation_id IS NOT NULL`,
  );
  const wanted = paths === null || paths.some((path) => globProblem(path) !== null) ? null : paths.flatMap(patternsOf);
  const theirs = live.filter((row) => wanted === null || (row.agent_id !== subject && overlap(wanted, patternsOf(row.path))));
  return leasesInDoubt(
    db,
    theirs.flatMap((row) => row.allocation_id ?? []),
    nowMs,
  ).slice(0, ASKED_LEASES);
}

/** The lease that a claim was made under: it is renewed under it, too. */
export function leaseOfClaim(db: Sql, claimId: string): MemoryLease | undefined {
  const row = first<Pick<ResourceRow, 'allocation_id' | 'lease_token'>>(
    db,
    sql`SELECT allocation_id, lease_token FROM resources WHERE claim_id = ${claimId} LIMIT 1`,
  );
  return row === null ? undefined : leaseFrom(row.allocation_id, row.lease_token);
}

const partsOf = (step: Step, claimId: string): ResourceRow[] =>
  rows<ResourceRow>(step.db, sql`SELECT * FROM resources WHERE claim_id = ${claimId} ORDER BY id`);

/** The claim if this caller holds it with this token, or the refusal. */
function held(step: Step, claimId: string, fencingToken: number): Result<readonly ResourceRow[], FleetError> {
  const parts = partsOf(step, claimId);
  const [row] = parts;
  if (row === undefined || !isInside(step.who)) return err(notFound('claim'));
  const isHolder = row.agent_id === step.who.subject || step.who.role === 'admin' || step.who.role === 'operator';
  if (!isHolder) return err(forbidden('Only its holder may do this with a claim.'));
  if (row.fencing_token !== fencingToken)
    return err({ kind: 'lease_superseded', detail: 'The fencing token is not this claim’s.' });
  if (row.expires_at <= step.nowMs) return err({ kind: 'lease_expired', detail: 'The claim is past its end.' });
  return ok(parts);
}

/** The end counts from now: a length is never added to a length. */
export function renewClaim(step: Step, input: MemoryCommandMap['renewClaim'][0]): Result<Claim, FleetError> {
  const started = startWrite(step, undefined);
  if (!started.ok) return started;
  const found = held(step, input.claimId, input.fencingToken);
  if (!found.ok) return found;
  const lease = holdLease(step, leaseOfClaim(step.db, input.claimId));
  if (!lease.ok) return lease;
  run(step.db, sql`UPDATE resources SET expires_at = ${step.nowMs + input.leaseMs} WHERE claim_id = ${input.claimId}`);
  audit(step, 'renew_claim', input.claimId);
  return ok(viewOf(partsOf(step, input.claimId)));
}

export function releaseClaim(step: Step, input: MemoryCommandMap['releaseClaim'][0]): Result<null, FleetError> {
  const found = held(step, input.claimId, input.fencingToken);
  if (!found.ok) return found;
  run(step.db, sql`DELETE FROM resources WHERE claim_id = ${input.claimId}`);
  noteAgent(step);
  event(step, 'claim.released', { claimId: input.claimId });
  audit(step, 'release_claim', input.claimId);
  return ok(null);
}

/** Live claims, oldest first; with a path, those that overlap it. */
export function listClaims(step: Step, input: MemoryCommandMap['listClaims'][0]): Result<Page<Claim>, FleetError> {
  if (!isInside(step.who)) return ok({ data: [] });
  const live = rows<ResourceRow>(
    step.db,
    sql`SELECT r.* FROM resources r WHERE NOT ${isOver(step.nowMs)} AND r.claim_id > ${input.after ?? ''} ORDER BY r.id`,
  );
  const asked = input.path === undefined ? null : patternsOf(input.path);
  const byClaim = new Map<string, ResourceRow[]>();
  for (const row of live) byClaim.set(row.claim_id, [...(byClaim.get(row.claim_id) ?? []), row]);
  const claims = [...byClaim.values()].filter(
    (parts) => asked === null || parts.some((row) => overlap(asked, patternsOf(row.path))),
  );
  const data = claims.slice(0, input.limit).map(viewOf);
  const last = data.at(-1);
  return ok({ data, ...(claims.length > input.limit && last !== undefined ? { nextAfter: last.id } : {}) });
}
