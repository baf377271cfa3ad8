import { notFound, type FleetError } from '../../../shared/errors.ts';
import { parseIdOf } from '../../../shared/ids.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import { pageOf } from '../../../shared/schemas/common.ts';
import {
  AddDependenciesSchema,
  ArtifactChunkSchema,
  ArtifactSchema,
  ClaimSchema,
  ClaimViewSchema,
  ConsensusSchema,
  CreateArtifactSchema,
  DependencySchema,
  MemoryAuditRowSchema,
  MemoryConflictSchema,
  MemoryEventSchema,
  MemorySettingsSchema,
  MemoryStatusSchema,
  ReleaseClaimSchema,
  RenewClaimSchema,
  VoteSchema,
} from '../../../shared/schemas/memory.ts';
import * as z from 'zod';
import { fromBase64, toBase64 } from '../../lib/base64.ts';
import { defined } from '../../lib/defined.ts';
import type { RequestContext } from '../context.ts';
import { endpoint } from '../endpoint.ts';
import { answer, answerPage, placeOf, refuseRegion } from '../memory.ts';
import {
  ArtifactsQuerySchema,
  ClaimsQuerySchema,
  DependenciesQuerySchema,
  MemoryPageQuerySchema,
  MemoryQuerySchema,
} from '../queries.ts';

/** A task of the path: only one that this system can have named. */
function taskOfPath(context: RequestContext): Result<string, FleetError> {
  const taskId = context.params['task'] ?? '';
  return parseIdOf('task', taskId) === null ? err(notFound('task')) : ok(taskId);
}

function chunkOfPath(context: RequestContext): Result<{ readonly artifactId: string; readonly number: number }, FleetError> {
  const text = context.params['number'] ?? '';
  if (!/^(0|[1-9][0-9]{0,4})$/.test(text)) return err(notFound('chunk'));
  return ok({ artifactId: context.params['artifact'] ?? '', number: Number(text) });
}

export const MEMORY_WORK_ENDPOINTS = [
  endpoint({
    name: 'claimPaths',
    doc: {
      summary: 'Claim paths',
      description:
        'No two holders ever have overlapping write claims. A claim that meets another’s is refused with 409 `invalid_state`, state `claimed`.',
      responses: { 201: ClaimViewSchema },
    },
    query: MemoryQuerySchema,
    body: ClaimSchema,
    keyed: true,
    refuse: refuseRegion,
    async handle(context, { body, query }) {
      const place = placeOf(context, query);
      return place.ok ? answer(context, place.value, { type: 'claim', ...body }, { status: 201 }) : place;
    },
  }),

  endpoint({
    name: 'listClaims',
    doc: { summary: 'List live claims, all or those that meet a path', responses: { 200: pageOf(ClaimViewSchema) } },
    query: ClaimsQuerySchema,
    refuse: refuseRegion,
    async handle(context, { query }) {
      const place = placeOf(context, query);
      if (!place.ok) return place;
      const filter = defined({ path: query.path });
      return answerPage(context, place.value, { query, command: (paging) => ({ type: 'listClaims', ...filter, ...paging }) });
    },
  }),

  endpoint({
    name: 'renewClaim',
    doc: { summary: 'Hold a claim for longer, counted from now', responses: { 200: ClaimViewSchema } },
    query: MemoryQuerySchema,
    body: RenewClaimSchema,
    refuse: refuseRegion,
    async handle(context, { body, query }) {
      const place = placeOf(context, query);
      if (!place.ok) return place;
      const claimId = context.params['claim'] ?? '';
      return answer(context, place.value, { type: 'renewClaim', claimId, ...body }, { status: 200 });
    },
  }),

  endpoint({
    name: 'releaseClaim',
    doc: { summary: 'Give a claim back', responses: { 204: null } },
    query: MemoryQuerySchema,
    body: ReleaseClaimSchema,
    keyed: true,
    refuse: refuseRegion,
    async handle(context, { body, query }) {
      const place = placeOf(context, query);
      if (!place.ok) return place;
      const claimId = context.params['claim'] ?? '';
      return answer(context, place.value, { type: 'releaseClaim', claimId, ...body }, { status: 204 });
    },
  }),

  endpoint({
    name: 'vote',
    doc: {
      summary: 'Vote on a task',
      description:
        'One vote for each agent of the swarm, which it may change until the decision. Decided is the choice that has the majority of all confidence once the quorum has voted.',
      responses: { 200: ConsensusSchema },
    },
    query: MemoryQuerySchema,
    body: VoteSchema,
    keyed: true,
    refuse: refuseRegion,
    async handle(context, { body, query }) {
      const taskId = taskOfPath(context);
      if (!taskId.ok) return taskId;
      const place = placeOf(context, query);
      return place.ok ? answer(context, place.value, { type: 'vote', taskId: taskId.value, ...body }, { status: 200 }) : place;
    },
  }),

  endpoint({
    name: 'getConsensus',
    doc: { summary: 'Read votes and decision of a task', responses: { 200: ConsensusSchema } },
    query: MemoryQuerySchema,
    refuse: refuseRegion,
    async handle(context, { query }) {
      const taskId = taskOfPath(context);
      if (!taskId.ok) return err(notFound('consensus'));
      const place = placeOf(context, query);
      return place.ok ? answer(context, place.value, { type: 'getConsensus', taskId: taskId.value }, { status: 200 }) : place;
    },
  }),

  endpoint({
    name: 'addDependencies',
    doc: {
      summary: 'Record that a task waits for others',
      description: 'Tasks of this region. A cycle is refused with 409 `invalid_state`, state `cyclic`.',
      responses: { 201: z.object({ added: z.int() }) },
    },
    query: MemoryQuerySchema,
    body: AddDependenciesSchema,
    keyed: true,
    refuse: refuseRegion,
    async handle(context, { body, query }) {
      const place = placeOf(context, query);
      return place.ok ? answer(context, place.value, { type: 'addDependencies', ...defined(body) }, { status: 201 }) : place;
    },
  }),

  endpoint({
    name: 'listDependencies',
    doc: { summary: 'List recorded dependencies', responses: { 200: pageOf(DependencySchema) } },
    query: DependenciesQuerySchema,
    refuse: refuseRegion,
    async handle(context, { query }) {
      const place = placeOf(context, query);
      if (!place.ok) return place;
      const filter = defined({ taskId: query.taskId });
      return answerPage(context, place.value, {
        query,
        command: (paging) => ({ type: 'listDependencies', ...filter, ...paging }),
      });
    },
  }),

  endpoint({
    name: 'createArtifact',
    doc: {
      summary: 'Announce an artifact',
      description: 'Its chunks follow, each of `chunkBytes` but the last; with the last of them it is complete.',
      responses: { 201: ArtifactSchema },
    },
    query: MemoryQuerySchema,
    body: CreateArtifactSchema,
    keyed: true,
    refuse: refuseRegion,
    async handle(context, { body, query }) {
      const place = placeOf(context, query);
      return place.ok ? answer(context, place.value, { type: 'createArtifact', ...body }, { status: 201 }) : place;
    },
  }),

  endpoint({
    name: 'listArtifacts',
    doc: { summary: 'List artifacts that the caller may read', responses: { 200: pageOf(ArtifactSchema) } },
    query: ArtifactsQuerySchema,
    refuse: refuseRegion,
    async handle(context, { query }) {
      const place = placeOf(context, query);
      if (!place.ok) return place;
      const filter = defined({ name: query.name, taskId: query.taskId });
      return answerPage(context, place.value, { query, command: (paging) => ({ type: 'listArtifacts', ...filter, ...paging }) });
    },
  }),

  endpoint({
    name: 'getArtifact',
    doc: { summary: 'Read what an artifact is', responses: { 200: ArtifactSchema } },
    query: MemoryQuerySchema,
    refuse: refuseRegion,
    async handle(context, { query }) {
      const place = placeOf(context, query);
      if (!place.ok) return place;
      const artifactId = context.params['artifact'] ?? '';
      return answer(context, place.value, { type: 'getArtifact', artifactId }, { status: 200 });
    },
  }),

  endpoint({
    name: 'deleteArtifact',
    doc: { summary: 'Delete an artifact', responses: { 204: null } },
    query: MemoryQuerySchema,
    refuse: refuseRegion,
    async handle(context, { query }) {
      const place = placeOf(context, query);
      if (!place.ok) return place;
      const artifactId = context.params['artifact'] ?? '';
      return answer(context, place.value, { type: 'deleteArtifact', artifactId }, { status: 204 });
    },
  }),

  endpoint({
    name: 'putChunk',
    doc: { summary: 'Send one chunk of an artifact', responses: { 200: ArtifactSchema } },
    query: MemoryQuerySchema,
    body: ArtifactChunkSchema,
    refuse: refuseRegion,
    async handle(context, { body, query }) {
      const chunk = chunkOfPath(context);
      if (!chunk.ok) return chunk;
      const place = placeOf(context, query);
      if (!place.ok) return place;
      return answer(context, place.value, { type: 'putChunk', ...chunk.value, data: fromBase64(body.data) }, { status: 200 });
    },
  }),

  endpoint({
    name: 'getChunk',
    doc: { summary: 'Read one chunk of a complete artifact', responses: { 200: ArtifactChunkSchema } },
    query: MemoryQuerySchema,
    refuse: refuseRegion,
    async handle(context, { query }) {
      const chunk = chunkOfPath(context);
      if (!chunk.ok) return chunk;
      const place = placeOf(context, query);
      if (!place.ok) return place;
      const write = (data: ArrayBuffer): string => JSON.stringify({ data: toBase64(data) });
      return answer(context, place.value, { type: 'getChunk', ...chunk.value }, { status: 200, write });
    },
  }),

  ...(
    [
      ['memoryEvents', 'listEvents', 'List what happened, as far as the caller may see it', MemoryEventSchema],
      ['memoryConflicts', 'listConflicts', 'List writes and claims that came second', MemoryConflictSchema],
      ['memoryAudit', 'listAudit', 'List who did what', MemoryAuditRowSchema],
    ] as const
  ).map(([name, type, summary, schema]) =>
    endpoint({
      name,
      doc: { summary, responses: { 200: pageOf(schema) } },
      query: MemoryPageQuerySchema,
      refuse: refuseRegion,
      async handle(context, { query }) {
        const place = placeOf(context, query);
        return place.ok ? answerPage(context, place.value, { query, command: (paging) => ({ type, ...paging }) }) : place;
      },
    }),
  ),

  endpoint({
    name: 'memoryStatus',
    doc: { summary: 'Read how a memory stands', responses: { 200: MemoryStatusSchema } },
    query: MemoryQuerySchema,
    refuse: refuseRegion,
    async handle(context, { query }) {
      const place = placeOf(context, query);
      return place.ok ? answer(context, place.value, { type: 'memoryStatus' }, { status: 200 }) : place;
    },
  }),

  endpoint({
    name: 'getMemorySettings',
    doc: { summary: 'Read a memory’s settings', responses: { 200: MemorySettingsSchema } },
    query: MemoryQuerySchema,
    refuse: refuseRegion,
    async handle(context, { query }) {
      const place = placeOf(context, query);
      return place.ok ? answer(context, place.value, { type: 'getSettings' }, { status: 200 }) : place;
    },
  }),

  endpoint({
    name: 'putMemorySettings',
    doc: { summary: 'Set how votes are counted and which keys have a text index', responses: { 200: MemorySettingsSchema } },
    query: MemoryQuerySchema,
    body: MemorySettingsSchema,
    refuse: refuseRegion,
    async handle(context, { body, query }) {
      const place = placeOf(context, query);
      return place.ok ? answer(context, place.value, { type: 'putSettings', settings: body }, { status: 200 }) : place;
    },
  }),
];
