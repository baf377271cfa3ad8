import * as z from 'zod';
import { utf8Bytes } from '../json.ts';
import { LIMITS } from '../limits.ts';
import { MEMORY_LIMITS } from '../memory-limits.ts';
import { AnyJsonSchema, FencingTokenSchema, IdempotencyKeySchema, InstantSchema, LeaseMsSchema } from './common.ts';

export const MEMORY_LEVELS = ['private', 'team', 'swarm', 'public', 'system'] as const;
export const MemoryLevelSchema = z
  .enum(MEMORY_LEVELS)
  .meta({ description: 'Who may read: the owner, its pool, the swarm, the fleet; `system` is written by admins' });
export type MemoryLevel = z.infer<typeof MemoryLevelSchema>;

/** Well-formed Unicode: a lone surrogate has no UTF-8, so two such keys would be one. */
const isText = (text: string): boolean => !/\p{Cs}/u.test(text) && !text.includes('\u0000');
export const MemoryKeySchema = z
  .string()
  .min(1)
  .refine((key) => utf8Bytes(key) <= MEMORY_LIMITS.keyBytes, `must be at most ${MEMORY_LIMITS.keyBytes} bytes of UTF-8`)
  .refine((key) => key !== '.' && key !== '..', 'must not be . or ..')
  .refine(isText, 'must be text without NUL')
  .meta({ description: `1 to ${MEMORY_LIMITS.keyBytes} bytes of UTF-8`, example: 'plans/current' });
const PrefixSchema = z
  .string()
  .refine((prefix) => utf8Bytes(prefix) <= MEMORY_LIMITS.keyBytes, `must be at most ${MEMORY_LIMITS.keyBytes} bytes of UTF-8`)
  .refine(isText, 'must be text without NUL');
const SubjectSchema = z.string().min(1).max(160).refine(isText, 'must be text');
export const TagSchema = z.string().min(1).max(MEMORY_LIMITS.tagChars).refine(isText, 'must be text');
const TaskIdSchema = z.string().min(1).max(LIMITS.nameChars);
const VersionSchema = z.int().min(0);

export const MemoryLeaseSchema = z
  .strictObject({ allocationId: z.string().max(LIMITS.nameChars), fencingToken: FencingTokenSchema })
  .meta({ id: 'MemoryLease', description: 'The lease under which this is written' });
export type MemoryLease = z.infer<typeof MemoryLeaseSchema>;

export const VectorSchema = z
  .array(z.number())
  .min(1)
  .max(MEMORY_LIMITS.vectorDimensions)
  .refine((vector) => vector.some((x) => Math.abs(x) > 1e-100), 'must not be all zeros')
  .refine((vector) => vector.every((x) => Math.abs(x) <= 1e6), 'has a number beyond 1e6');

const writeShape = {
  value: AnyJsonSchema,
  level: MemoryLevelSchema.optional().meta({ description: 'Default: as the entry is; `private` for a new one' }),
  ttlMs: z.int().min(MEMORY_LIMITS.ttlMsMin).max(MEMORY_LIMITS.ttlMsMax).optional(),
  tags: z.array(TagSchema).max(MEMORY_LIMITS.tags).optional(),
  vector: VectorSchema.optional(),
  ifVersion: VersionSchema.optional().meta({ description: 'Only if the entry has this version; 0: only if there is none' }),
};
const hasValue = (input: { readonly value?: unknown }): boolean => input.value !== undefined;
const NO_VALUE = { path: ['value'], message: 'is required (null is a value)' };

export const PutEntrySchema = z
  .strictObject({ ...writeShape, lease: MemoryLeaseSchema.optional() })
  .refine(hasValue, NO_VALUE)
  .meta({ id: 'PutMemoryEntry' });
export type PutEntry = z.infer<typeof PutEntrySchema>;

export const MemoryEntrySchema = z
  .object({
    key: z.string(),
    value: z.unknown().optional(),
    version: z.int(),
    level: MemoryLevelSchema,
    owner: z.string(),
    team: z.string().optional().meta({ description: 'Pool of the owner, if that is an agent' }),
    tags: z.array(z.string()),
    region: z.string(),
    createdAtMs: InstantSchema,
    updatedAtMs: InstantSchema,
    expiresAtMs: InstantSchema.optional(),
    writtenBy: z.string(),
    taskId: z.string().optional(),
    allocationId: z.string().optional(),
    fencingToken: z.int().optional(),
    quarantined: z.literal(true).optional(),
  })
  .meta({ id: 'MemoryEntry' });
export type MemoryEntry = z.infer<typeof MemoryEntrySchema>;

export const MemoryVersionSchema = MemoryEntrySchema.omit({ createdAtMs: true, updatedAtMs: true, expiresAtMs: true })
  .extend({ writtenAtMs: InstantSchema })
  .meta({ id: 'MemoryVersion' });

const subjects = z.array(SubjectSchema).max(MEMORY_LIMITS.permissionIds);
export const PermissionsSchema = z
  .strictObject({
    level: MemoryLevelSchema,
    read: subjects.default([]),
    write: subjects.default([]),
    delete: subjects.default([]),
  })
  .meta({
    id: 'MemoryPermissions',
    description: 'Lists hold agents’ ids; `swarm` and `team` in a list mean every agent of the swarm or of the owner’s pool',
  });
export type Permissions = z.infer<typeof PermissionsSchema>;

export const RollbackSchema = z
  .strictObject({ version: z.int().min(1), ifVersion: VersionSchema.optional(), lease: MemoryLeaseSchema.optional() })
  .meta({ id: 'MemoryRollback' });

const filterShape = {
  prefix: PrefixSchema.optional(),
  owner: SubjectSchema.optional(),
  level: MemoryLevelSchema.optional(),
  tag: TagSchema.optional(),
  updatedAfterMs: InstantSchema.optional(),
  updatedBeforeMs: InstantSchema.optional(),
};
export const SearchSchema = z
  .strictObject({
    query: z
      .string()
      .min(1)
      .max(1_024)
      .meta({ description: 'Words that must all occur; `"a b"` as a phrase, `ab*` as a beginning' }),
    limit: z.int().min(1).max(MEMORY_LIMITS.searchResults).default(10),
    ...filterShape,
  })
  .meta({ id: 'MemorySearch' });
export const VectorSearchSchema = z
  .strictObject({ vector: VectorSchema, limit: z.int().min(1).max(MEMORY_LIMITS.vectorResults).default(10), ...filterShape })
  .meta({ id: 'MemoryVectorSearch' });
const ScoredSchema = MemoryEntrySchema.extend({ score: z.number() });
export const SearchReplySchema = z.object({
  data: z.array(ScoredSchema),
  complete: z
    .boolean()
    .optional()
    .meta({ description: 'False: there may be more than one search looks through, or than one answer holds' }),
});

const OperationSchema = z.discriminatedUnion('op', [
  z.strictObject({ op: z.literal('put'), key: MemoryKeySchema, ...writeShape }).refine(hasValue, NO_VALUE),
  z.strictObject({ op: z.literal('delete'), key: MemoryKeySchema, ifVersion: VersionSchema.optional() }),
  z.strictObject({ op: z.literal('check'), key: MemoryKeySchema, ifVersion: VersionSchema }),
]);
export const TransactionSchema = z
  .strictObject({
    operations: z.array(OperationSchema).min(1).max(MEMORY_LIMITS.batch),
    lease: MemoryLeaseSchema.optional(),
  })
  .meta({ id: 'MemoryTransaction', description: 'All of it or nothing' });
export const TransactionReplySchema = z.object({ versions: z.array(z.object({ key: z.string(), version: z.int() })) });

/** Each item is parsed by itself: one bad item fails alone. */
export const MemoryBatchSchema = z
  .strictObject({
    operations: z
      .array(z.unknown())
      .min(1)
      .max(MEMORY_LIMITS.batch)
      .meta({ description: 'MemoryBatchOperation items, each with an optional idempotencyKey' }),
  })
  .meta({ id: 'MemoryBatch' });
export const BatchOperationSchema = z
  .discriminatedUnion('op', [
    z.strictObject({ op: z.literal('get'), key: MemoryKeySchema }),
    z
      .strictObject({ op: z.literal('put'), key: MemoryKeySchema, ...writeShape, lease: MemoryLeaseSchema.optional() })
      .refine(hasValue, NO_VALUE),
    z.strictObject({
      op: z.literal('delete'),
      key: MemoryKeySchema,
      ifVersion: VersionSchema.optional(),
      lease: MemoryLeaseSchema.optional(),
    }),
  ])
  .meta({ id: 'MemoryBatchOperation' });

export const QuarantineSchema = z
  .strictObject({
    agentId: SubjectSchema.optional(),
    allocationId: SubjectSchema.optional(),
    release: z.boolean().default(false).meta({ description: 'True: end the quarantine' }),
    reason: z.string().max(1_000).optional(),
  })
  .refine((input) => (input.agentId === undefined) !== (input.allocationId === undefined), {
    path: ['agentId'],
    message: 'or allocationId, exactly one of them',
  })
  .meta({ id: 'MemoryQuarantine' });
export type QuarantineInput = z.infer<typeof QuarantineSchema>;
export const QuarantinedSchema = z
  .object({ entries: z.int(), versions: z.int(), artifacts: z.int(), votes: z.int(), claims: z.int() })
  .meta({ id: 'MemoryQuarantined' });
export type Quarantined = z.infer<typeof QuarantinedSchema>;

export const EraseSchema = z
  .strictObject({
    keys: z.array(MemoryKeySchema).min(1).max(MEMORY_LIMITS.batch).optional(),
    owner: SubjectSchema.optional().meta({ description: 'Everything that this agent or token owns or wrote' }),
    prefix: PrefixSchema.min(1).optional(),
    reason: z.string().max(1_000).optional(),
  })
  .refine((input) => [input.keys, input.owner, input.prefix].filter((x) => x !== undefined).length === 1, {
    path: ['keys'],
    message: 'or owner or prefix, exactly one of them',
  })
  .meta({ id: 'MemoryErase' });
export type EraseInput = z.infer<typeof EraseSchema>;
export const ErasureSchema = z
  .object({
    id: z.string(),
    region: z.string(),
    swarm: z.string(),
    atMs: InstantSchema,
    actor: z.string(),
    erased: z.record(z.string(), z.int()).meta({ description: 'Rows removed, by layer' }),
    remaining: z.int().meta({ description: 'Rows that a search over every layer found afterwards' }),
    sharedCache: z.enum(['none', 'cleared', 'ends_by_itself']).optional(),
    digest: z.string().meta({ description: 'SHA-256 over the receipt without this member and without sharedCache' }),
  })
  .meta({ id: 'MemoryErasure' });
export type Erasure = z.infer<typeof ErasureSchema>;

const GlobSchema = z
  .string()
  .min(1)
  .max(MEMORY_LIMITS.globChars)
  .refine(isText, 'must be text')
  .refine((glob) => !glob.includes('\\'), 'must not contain a backslash; separate folders by /')
  .refine((glob) => !glob.split('/').some((part) => part === '..'), 'must not contain ..')
  .meta({
    description: 'A path or a pattern: * ? [abc] {a,b} and **; a folder stands for everything below it',
    example: 'src/**',
  });
export const ClaimSchema = z
  .strictObject({
    paths: z.array(GlobSchema).min(1).max(MEMORY_LIMITS.claimPaths),
    mode: z.enum(['read', 'write']).default('write'),
    leaseMs: LeaseMsSchema.default(MEMORY_LIMITS.claimLeaseMsDefault),
    lease: MemoryLeaseSchema.optional(),
  })
  .meta({ id: 'MemoryClaimInput' });
export type ClaimInput = z.infer<typeof ClaimSchema>;
export const RenewClaimSchema = z
  .strictObject({ fencingToken: FencingTokenSchema, leaseMs: LeaseMsSchema.default(MEMORY_LIMITS.claimLeaseMsDefault) })
  .meta({ id: 'MemoryClaimRenewal' });
export const ReleaseClaimSchema = z.strictObject({ fencingToken: FencingTokenSchema }).meta({ id: 'MemoryClaimRelease' });
export const ClaimViewSchema = z
  .object({
    id: z.string(),
    paths: z.array(z.string()),
    mode: z.enum(['read', 'write']),
    holder: z.string(),
    fencingToken: z.int(),
    expiresAtMs: InstantSchema,
    createdAtMs: InstantSchema,
    allocationId: z.string().optional(),
  })
  .meta({ id: 'MemoryClaim' });
export type Claim = z.infer<typeof ClaimViewSchema>;

export const VoteSchema = z
  .strictObject({
    choice: z.string().min(1).max(128).refine(isText, 'must be text').default('approve'),
    confidence: z.number().min(0).max(1),
    reasoning: z.string().max(LIMITS.errorChars).optional(),
    lease: MemoryLeaseSchema.optional(),
  })
  .meta({ id: 'MemoryVote' });
export type VoteInput = z.infer<typeof VoteSchema>;
export const ConsensusSchema = z
  .object({
    taskId: z.string(),
    votes: z.array(
      z.object({
        agentId: z.string(),
        choice: z.string(),
        confidence: z.number(),
        reasoning: z.string().optional(),
        atMs: InstantSchema,
      }),
    ),
    quorum: z.int(),
    majority: z.number(),
    decision: z
      .object({ choice: z.string(), share: z.number(), votes: z.int(), decidedAtMs: InstantSchema })
      .optional()
      .meta({ description: 'Absent while open; once made it stays' }),
  })
  .meta({ id: 'MemoryConsensus' });
export type Consensus = z.infer<typeof ConsensusSchema>;

export const AddDependenciesSchema = z
  .strictObject({
    taskId: TaskIdSchema,
    dependsOn: z.array(TaskIdSchema).min(1).max(MEMORY_LIMITS.dependenciesPerTask),
    lease: MemoryLeaseSchema.optional(),
  })
  .meta({ id: 'MemoryDependencies' });
export type AddDependencies = z.infer<typeof AddDependenciesSchema>;
export const DependencySchema = z
  .object({ taskId: z.string(), dependsOn: z.string(), agentId: z.string(), createdAtMs: InstantSchema })
  .meta({ id: 'MemoryDependency' });
export type Dependency = z.infer<typeof DependencySchema>;

export const CreateArtifactSchema = z
  .strictObject({
    name: z.string().min(1).max(256).refine(isText, 'must be text'),
    bytes: z.int().min(0).max(MEMORY_LIMITS.artifactBytes),
    sha256: z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits'),
    contentType: z.string().min(1).max(128).default('application/octet-stream'),
    level: MemoryLevelSchema.default('swarm'),
    taskId: TaskIdSchema.optional(),
    ttlMs: z.int().min(1_000).max(MEMORY_LIMITS.ttlMsMax).optional(),
    lease: MemoryLeaseSchema.optional(),
  })
  .meta({ id: 'MemoryArtifactInput' });
export type CreateArtifact = z.infer<typeof CreateArtifactSchema>;
export const ArtifactChunkSchema = z
  .strictObject({
    data: z
      .base64()
      .max(Math.ceil(MEMORY_LIMITS.artifactChunkBytes / 3) * 4)
      .meta({ description: 'Base64' }),
  })
  .meta({ id: 'MemoryArtifactChunk' });
export const ArtifactSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    taskId: z.string().optional(),
    owner: z.string(),
    level: MemoryLevelSchema,
    contentType: z.string(),
    bytes: z.int(),
    sha256: z.string(),
    chunks: z.int(),
    chunkBytes: z.int(),
    complete: z.boolean(),
    createdAtMs: InstantSchema,
    expiresAtMs: InstantSchema.optional(),
    allocationId: z.string().optional(),
  })
  .meta({ id: 'MemoryArtifact' });
export type Artifact = z.infer<typeof ArtifactSchema>;

export const MemoryEventSchema = z
  .object({ id: z.string(), type: z.string(), agentId: z.string().optional(), atMs: InstantSchema, data: z.unknown() })
  .meta({ id: 'MemoryEvent' });
export type MemoryEvent = z.infer<typeof MemoryEventSchema>;
export const MemoryConflictSchema = z
  .object({
    id: z.string(),
    kind: z.enum(['version', 'claim', 'lease']),
    target: z.string(),
    agentId: z.string(),
    expected: z.int().optional(),
    actual: z.int().optional(),
    holder: z.string().optional(),
    atMs: InstantSchema,
  })
  .meta({ id: 'MemoryConflict' });
export type MemoryConflict = z.infer<typeof MemoryConflictSchema>;
export const MemoryAuditRowSchema = z
  .object({
    id: z.string(),
    atMs: InstantSchema,
    actor: z.string(),
    role: z.string(),
    action: z.string(),
    target: z.string(),
    requestId: z.string(),
    detail: z.unknown().optional(),
  })
  .meta({ id: 'MemoryAuditRow' });
export type MemoryAuditRow = z.infer<typeof MemoryAuditRowSchema>;

export const MemorySettingsSchema = z
  .strictObject({
    quorum: z.int().min(1).max(MEMORY_LIMITS.votesPerTask).default(3).meta({ description: 'Agents that must have voted' }),
    majority: z
      .number()
      .gt(0.5)
      .max(1)
      .default(2 / 3)
      .meta({ description: 'Share of all confidence that decides' }),
    textIndex: z
      .array(PrefixSchema)
      .max(MEMORY_LIMITS.textIndexPrefixes)
      .default([])
      .meta({ description: 'Beginnings of keys whose text is indexed; an empty one: all' }),
    shards: z.int().min(1).max(MEMORY_LIMITS.shards).optional().meta({
      description: 'Objects that the entries are spread over by key. Chosen before anything is written; absent: as it is',
    }),
  })
  .meta({ id: 'MemorySettings' });
export type MemorySettings = z.infer<typeof MemorySettingsSchema>;

export const MemoryStatusSchema = z
  .object({
    swarm: z.string(),
    region: z.string(),
    entries: z.int(),
    bytes: z.int(),
    artifacts: z.int(),
    claims: z.int(),
    aclEpoch: z.int(),
    databaseBytes: z.int(),
    restorePoints: z
      .array(z.object({ id: z.string(), createdAtMs: InstantSchema, reason: z.string() }))
      .meta({ description: 'States before imports and restores, oldest first; four are kept' }),
    agents: z.array(z.object({ id: z.string(), pool: z.string(), status: z.string(), updatedAtMs: InstantSchema })),
    tasks: z.array(z.object({ id: z.string(), status: z.string(), agentId: z.string().optional(), updatedAtMs: InstantSchema })),
    metrics: z.record(z.string(), z.number()).meta({ description: 'Sums of the last hour, and rates of the caches' }),
  })
  .meta({ id: 'MemoryStatus' });
export type MemoryStatus = z.infer<typeof MemoryStatusSchema>;

/** As an import answered it, or the status lists it: a number for each shard. */
const RestorePointSchema = z.string().regex(/^[0-9]{1,9}(?: [0-9]{1,9}){0,63}$/, 'must be a restore point of this memory');
export const RestoreSchema = z.strictObject({ restorePoint: RestorePointSchema }).meta({ id: 'MemoryRestore' });
export const RestoreReplySchema = z
  .object({ restorePoint: z.string().meta({ description: 'The state that was left, which can be gone back to' }) })
  .meta({ id: 'MemoryRestored' });
export const ImportReplySchema = z
  .object({ restorePoint: z.string(), entries: z.int(), skipped: z.int() })
  .meta({ id: 'MemoryImport' });
export { IdempotencyKeySchema };
