import { notFound, type FleetError } from '../../../shared/errors.ts';
import { MEMORY_LIMITS } from '../../../shared/memory-limits.ts';
import type { MemoryCommandMap } from '../../../shared/memory-rpc.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import type { Page } from '../../../shared/rpc.ts';
import type { Artifact, CreateArtifact, MemoryLease, MemoryLevel } from '../../../shared/schemas/memory.ts';
import { grants } from './acl.ts';
import { holdLease, knowsTask, leaseFrom } from './fences.ts';
import { audit, event, noteAgent, type Acl } from './records.ts';
import { first, join, rows, run, sql, type Fragment, type Row, type Sql } from './sql.ts';
import { counters, NOT_WRITABLE, type Step } from './step.ts';
import { mayCreate, startWrite } from './writing.ts';

interface ArtifactRow extends Row {
  readonly id: string;
  readonly name: string;
  readonly task_id: string | null;
  readonly owner_id: string;
  readonly team: string | null;
  readonly acl_level: string;
  readonly content_type: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly chunks: number;
  readonly created_at: number;
  readonly completed_at: number | null;
  readonly expires_at: number | null;
  readonly allocation_id: string | null;
  readonly fencing_token: number | null;
}

/** The lease that an artifact was announced under: its chunks are written under it, too. */
export function leaseOfArtifact(db: Sql, artifactId: string): MemoryLease | undefined {
  const row = first<Pick<ArtifactRow, 'allocation_id' | 'fencing_token'>>(
    db,
    sql`SELECT allocation_id, fencing_token FROM artifacts WHERE id = ${artifactId}`,
  );
  return row === null ? undefined : leaseFrom(row.allocation_id, row.fencing_token);
}

/** The one rule, asked about an artifact: it has a level and an owner, and no lists. */
const permitted = (step: Step, operation: 'read' | 'write'): Fragment =>
  sql`${grants(step.who, operation, { row: 'a' })} AND (a.expires_at IS NULL OR a.expires_at > ${step.nowMs})`;

const find = (step: Step, id: string, operation: 'read' | 'write'): ArtifactRow | null =>
  first<ArtifactRow>(step.db, sql`SELECT a.* FROM artifacts a WHERE a.id = ${id} AND ${permitted(step, operation)}`);

const viewOf = (row: ArtifactRow): Artifact => ({
  id: row.id,
  name: row.name,
  ...(row.task_id === null ? {} : { taskId: row.task_id }),
  owner: row.owner_id,
  level: row.acl_level as MemoryLevel,
  contentType: row.content_type,
  bytes: row.bytes,
  sha256: row.sha256,
  chunks: row.chunks,
  chunkBytes: MEMORY_LIMITS.artifactChunkBytes,
  complete: row.completed_at !== null,
  createdAtMs: row.created_at,
  ...(row.expires_at === null ? {} : { expiresAtMs: row.expires_at }),
  ...(row.allocation_id === null ? {} : { allocationId: row.allocation_id }),
});

const aclOf = (row: ArtifactRow): Acl => ({
  memoryId: null,
  level: row.acl_level as MemoryLevel,
  owner: row.owner_id,
  team: row.team,
});

/** Announces a result of known size; its chunks follow, and with the last of them it can be read. */
export function createArtifact(step: Step, input: CreateArtifact): Result<Artifact, FleetError> {
  const held = startWrite(step, input.lease);
  if (!held.ok) return held;
  const { db, nowMs, who } = step;
  if (!mayCreate(step, input.level)) return err(NOT_WRITABLE);
  const taskId = input.taskId ?? held.value.taskId;
  if (taskId !== null && !knowsTask(db, taskId)) return err(notFound('task'));
  const count = first<{ n: number }>(db, sql`SELECT COUNT(*) AS n FROM artifacts`)?.n ?? 0;
  if (count >= MEMORY_LIMITS.artifacts || counters(db).artifact_bytes + input.bytes > MEMORY_LIMITS.artifactsBytes) {
    const limit = count >= MEMORY_LIMITS.artifacts ? MEMORY_LIMITS.artifacts : MEMORY_LIMITS.artifactsBytes;
    return err({ kind: 'quota_exceeded', scope: 'swarm', limit, detail: 'This memory holds no more artifacts.' });
  }
  if (input.bytes === 0 && input.sha256 !== step.sha256OfParts([])) return err(wrongDigest('sha256'));
  const id = `art.${step.ulid()}`;
  const chunks = Math.ceil(input.bytes / MEMORY_LIMITS.artifactChunkBytes);
  run(
    db,
    sql`INSERT INTO artifacts (id, name, task_id, owner_id, team, acl_level, content_type, bytes, sha256, chunks, created_at,
      completed_at, expires_at, written_by, allocation_id, fencing_token) VALUES (${id}, ${input.name}, ${taskId}, ${who.subject},
      ${who.team}, ${input.level}, ${input.contentType}, ${input.bytes}, ${input.sha256}, ${chunks}, ${nowMs},
      ${chunks === 0 ? nowMs : null}, ${input.ttlMs === undefined ? null : nowMs + input.ttlMs}, ${who.subject},
      ${held.value.allocationId}, ${held.value.fencingToken})`,
  );
  run(db, sql`UPDATE counters SET artifact_bytes = artifact_bytes + ${input.bytes}`);
  const row = find(step, id, 'write');
  if (row === null) return err(NOT_WRITABLE);
  event(step, 'artifact.created', { artifactId: id, name: input.name }, aclOf(row));
  audit(step, 'create_artifact', id, { bytes: input.bytes, level: input.level });
  step.count('create_artifact');
  return ok(viewOf(row));
}

/** One chunk; each has the full size but the last. The same chunk again changes nothing. */
export function putChunk(step: Step, input: MemoryCommandMap['putChunk'][0]): Result<Artifact, FleetError> {
  const held = startWrite(step, undefined);
  if (!held.ok) return held;
  const { db } = step;
  const row = find(step, input.artifactId, 'write');
  if (row === null) return err(find(step, input.artifactId, 'read') === null ? notFound('artifact') : NOT_WRITABLE);
  if (row.completed_at !== null) return err({ kind: 'invalid_state', state: 'complete', detail: 'The artifact is complete.' });
  if (input.number >= row.chunks) return err(notFound('chunk'));
  const lease = holdLease(step, leaseFrom(row.allocation_id, row.fencing_token));
  if (!lease.ok) return lease;
  const isLast = input.number === row.chunks - 1;
  const size = isLast ? row.bytes - input.number * MEMORY_LIMITS.artifactChunkBytes : MEMORY_LIMITS.artifactChunkBytes;
  if (input.data.byteLength !== size) {
    const message = `must be ${size} bytes for this chunk`;
    return err({ kind: 'validation_failed', errors: [{ path: 'data', message }], detail: `data ${message}` });
  }
  run(
    db,
    sql`INSERT INTO artifact_chunks (artifact_id, number, data) VALUES (${row.id}, ${input.number}, ${input.data})
      ON CONFLICT (artifact_id, number) DO UPDATE SET data = excluded.data`,
  );
  const there = first<{ n: number }>(db, sql`SELECT COUNT(*) AS n FROM artifact_chunks WHERE artifact_id = ${row.id}`)?.n ?? 0;
  const completed = there === row.chunks ? step.nowMs : null;
  // The last chunk makes it readable: not when what was sent is not what was announced. That chunk may be sent again, or another.
  if (completed !== null && step.sha256OfParts(chunksOf(step, row)) !== row.sha256) {
    run(db, sql`DELETE FROM artifact_chunks WHERE artifact_id = ${row.id} AND number = ${input.number}`);
    return err(wrongDigest('data'));
  }
  if (completed !== null) {
    run(db, sql`UPDATE artifacts SET completed_at = ${completed} WHERE id = ${row.id}`);
    event(step, 'artifact.completed', { artifactId: row.id, name: row.name }, aclOf(row));
  }
  audit(step, 'put_chunk', row.id, { number: input.number });
  return ok(viewOf({ ...row, completed_at: completed }));
}

function* chunksOf(step: Step, row: ArtifactRow): Generator<ArrayBuffer> {
  for (let number = 0; number < row.chunks; number += 1) {
    const chunk = first<{ data: ArrayBuffer }>(
      step.db,
      sql`SELECT data FROM artifact_chunks WHERE artifact_id = ${row.id} AND number = ${number}`,
    );
    if (chunk !== null) yield chunk.data;
  }
}

function wrongDigest(path: string): FleetError {
  const message = 'makes an artifact with another SHA-256 than was announced';
  return { kind: 'validation_failed', errors: [{ path, message }], detail: `${path} ${message}` };
}

export function getArtifact(step: Step, { artifactId }: { readonly artifactId: string }): Result<Artifact, FleetError> {
  const row = find(step, artifactId, 'read');
  return row === null ? err(notFound('artifact')) : ok(viewOf(row));
}

export function getChunk(step: Step, input: MemoryCommandMap['getChunk'][0]): Result<ArrayBuffer, FleetError> {
  const row = find(step, input.artifactId, 'read');
  if (row === null || row.completed_at === null) return err(notFound('artifact'));
  const chunk = first<{ data: ArrayBuffer }>(
    step.db,
    sql`SELECT data FROM artifact_chunks WHERE artifact_id = ${row.id} AND number = ${input.number}`,
  );
  return chunk === null ? err(notFound('chunk')) : ok(chunk.data);
}

/** What the caller may read, oldest first; one whose chunks are not all there says so. */
export function listArtifacts(step: Step, input: MemoryCommandMap['listArtifacts'][0]): Result<Page<Artifact>, FleetError> {
  const conditions = [sql`a.id > ${input.after ?? ''}`, permitted(step, 'read')];
  if (input.name !== undefined) conditions.push(sql`a.name = ${input.name}`);
  if (input.taskId !== undefined) conditions.push(sql`a.task_id = ${input.taskId}`);
  const found = rows<ArtifactRow>(
    step.db,
    sql`SELECT a.* FROM artifacts a WHERE ${join(conditions, ' AND ')} ORDER BY a.id LIMIT ${input.limit + 1}`,
  );
  const data = found.slice(0, input.limit).map(viewOf);
  const last = data.at(-1);
  return ok({ data, ...(found.length > data.length && last !== undefined ? { nextAfter: last.id } : {}) });
}

export function deleteArtifact(step: Step, { artifactId }: { readonly artifactId: string }): Result<null, FleetError> {
  const row = find(step, artifactId, 'write');
  if (row === null) return err(find(step, artifactId, 'read') === null ? notFound('artifact') : NOT_WRITABLE);
  dropArtifact(step, row);
  noteAgent(step);
  event(step, 'artifact.deleted', { artifactId: row.id }, aclOf(row));
  audit(step, 'delete_artifact', row.id);
  return ok(null);
}

export function dropArtifact(step: Pick<Step, 'db'>, row: Pick<ArtifactRow, 'id' | 'bytes'>): void {
  run(step.db, sql`DELETE FROM artifacts WHERE id = ${row.id}`);
  run(step.db, sql`UPDATE counters SET artifact_bytes = artifact_bytes - ${row.bytes}`);
}
