import type { FleetError } from '../../../shared/errors.ts';
import { MEMORY_LIMITS } from '../../../shared/memory-limits.ts';
import type {
  MemoryImportReply,
  MemoryOutput,
  MemoryReply,
  MemoryRequest,
  MemoryRestoreReply,
  TransactionOperation,
} from '../../../shared/memory-rpc.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import { batchOf } from '../../../shared/schemas/common.ts';
import {
  BatchOperationSchema,
  EraseSchema,
  ErasureSchema,
  ImportReplySchema,
  MemoryBatchSchema,
  MemoryEntrySchema,
  QuarantinedSchema,
  RestoreReplySchema,
  RestoreSchema,
  QuarantineSchema,
  SearchReplySchema,
  SearchSchema,
  TransactionReplySchema,
  TransactionSchema,
  VectorSearchSchema,
} from '../../../shared/schemas/memory.ts';
import { defined } from '../../lib/defined.ts';
import { jsonArray, jsonWith } from '../../lib/json-text.ts';
import { validate } from '../../lib/validate.ts';
import { splitKey } from '../batches.ts';
import type { RequestContext } from '../context.ts';
import { endpoint } from '../endpoint.ts';
import { itemKey, requestKey } from '../idempotency.ts';
import { answer, entryJson, placeOf, refuseRegion } from '../memory.ts';
import { ExportQuerySchema, MemoryQuerySchema } from '../queries.ts';
import { SQLITE_TYPE } from '../openapi.ts';
import { askRegion, callRegion, OWN_TIMEOUT_MS } from '../region-calls.ts';
import { batchItem, batchReply, refusedBy, replyJson } from '../reply.ts';
import { storeInput } from './memory-entries.ts';

type Found = MemoryOutput<'search'>['data'];
const foundJson = (data: Found): string => jsonArray(data.map(({ value, ...entry }) => jsonWith(entry, { value })));

function readItem(context: RequestContext, item: unknown): Result<MemoryRequest, FleetError> {
  const split = splitKey(item);
  if (!split.ok) return split;
  const operation = validate(BatchOperationSchema, split.value.rest);
  if (!operation.ok) return operation;
  const idempotency = itemKey(context, split.value.key, item);
  const keyed = idempotency === null ? {} : { idempotency };
  const { op, key, ...rest } = operation.value;
  if (op === 'get') return ok({ command: { type: 'retrieve', key } });
  if (op === 'delete') return ok({ command: { type: 'delete', key, ...defined(rest) }, ...keyed });
  const input = storeInput(key, rest as Parameters<typeof storeInput>[1]);
  return input.ok ? ok({ command: { type: 'store', ...input.value }, ...keyed }) : input;
}

function itemAnswer(answered: MemoryReply): Result<{ readonly status: number; readonly body: string }, FleetError> {
  if (!answered.ok) return answered;
  const output = answered.value;
  if (output !== null && 'created' in output) return ok({ status: output.created ? 201 : 200, body: entryJson(output.entry) });
  if (output !== null && 'tag' in output && output.entry !== undefined) return ok({ status: 200, body: entryJson(output.entry) });
  return ok({ status: 204, body: 'null' });
}

function transactionOperations(
  operations: readonly ({ readonly op: 'put' | 'delete' | 'check'; readonly key: string } & Record<string, unknown>)[],
): Result<readonly TransactionOperation[], FleetError> {
  const read: TransactionOperation[] = [];
  for (const { op, key, ...rest } of operations) {
    if (op !== 'put') {
      read.push({ op, key, ...defined(rest) } as TransactionOperation);
      continue;
    }
    const input = storeInput(key, rest as Parameters<typeof storeInput>[1]);
    if (!input.ok) return input;
    read.push({ op, ...input.value });
  }
  return ok(read);
}

export const MEMORY_SET_ENDPOINTS = [
  endpoint({
    name: 'searchMemory',
    doc: {
      summary: 'Search for words',
      description: 'All words must occur in key or value. Only what the caller may read is searched, counted and ranked.',
      responses: { 200: SearchReplySchema },
    },
    query: MemoryQuerySchema,
    body: SearchSchema,
    refuse: refuseRegion,
    async handle(context, { body, query }) {
      const place = placeOf(context, query);
      if (!place.ok) return place;
      return answer(
        context,
        place.value,
        { type: 'search', ...defined(body) },
        { status: 200, write: ({ data, complete }) => jsonWith({ complete }, { data: foundJson(data) }) },
      );
    },
  }),

  endpoint({
    name: 'searchVectors',
    doc: {
      summary: 'Search for the nearest vectors',
      description: 'By cosine, among entries that the caller may read and whose vector has as many dimensions.',
      responses: { 200: SearchReplySchema },
    },
    query: MemoryQuerySchema,
    body: VectorSearchSchema,
    refuse: refuseRegion,
    async handle(context, { body, query }) {
      const place = placeOf(context, query);
      if (!place.ok) return place;
      return answer(
        context,
        place.value,
        { type: 'vectorSearch', ...defined(body) },
        { status: 200, write: ({ data, complete }) => jsonWith({ complete }, { data: foundJson(data) }) },
      );
    },
  }),

  endpoint({
    name: 'memoryBatch',
    doc: { summary: 'Up to 256 operations, each by itself', responses: { 200: batchOf(MemoryEntrySchema) } },
    query: MemoryQuerySchema,
    body: MemoryBatchSchema,
    refuse: refuseRegion,
    async handle(context, { body, query }) {
      const place = placeOf(context, query);
      if (!place.ok) return place;
      const { region, swarm } = place.value;
      const items = body.operations.map((item) => readItem(context, item));
      const requests = items.flatMap((item) => (item.ok ? [item.value] : []));
      const called =
        requests.length === 0
          ? ok([])
          : await callRegion(context, region, OWN_TIMEOUT_MS, (binding) => binding.memory(context.caller, swarm, requests));
      const answers = called.ok ? [...called.value] : [];
      const where = { instance: context.pathname, requestId: context.requestId };
      const results = items.map((item) => {
        if (!item.ok) return batchItem(item, where);
        const answered: MemoryReply = called.ok ? (answers.shift() ?? UNANSWERED) : called;
        return batchItem(itemAnswer(answered), where);
      });
      return batchReply(results, { region });
    },
  }),

  endpoint({
    name: 'memoryTransaction',
    doc: { summary: 'Up to 256 operations, all or none', responses: { 200: TransactionReplySchema } },
    query: MemoryQuerySchema,
    body: TransactionSchema,
    keyed: true,
    refuse: refuseRegion,
    async handle(context, { body, query }) {
      const place = placeOf(context, query);
      if (!place.ok) return place;
      const operations = transactionOperations(body.operations);
      if (!operations.ok) return operations;
      const command = { type: 'transaction', operations: operations.value, ...defined({ lease: body.lease }) } as const;
      return answer(context, place.value, command, { status: 200 });
    },
  }),

  endpoint({
    name: 'quarantineMemory',
    doc: {
      summary: 'Hide what an agent wrote, or what was written under a lease',
      description: 'From every road, older versions included; a quarantined agent writes no more. `release` ends it.',
      responses: { 200: QuarantinedSchema },
    },
    query: MemoryQuerySchema,
    body: QuarantineSchema,
    keyed: true,
    refuse: refuseRegion,
    async handle(context, { body, query }) {
      const place = placeOf(context, query);
      return place.ok ? answer(context, place.value, { type: 'quarantine', ...body }, { status: 200 }) : place;
    },
  }),

  endpoint({
    name: 'exportMemory',
    doc: {
      summary: 'Export a memory as a SQLite file',
      description:
        'With what the caller may read, by the one rule, and nothing else; others’ private entries are never in it. A memory of several shards has a file for each.',
      responses: { 200: null },
    },
    query: ExportQuerySchema,
    refuse: refuseRegion,
    async handle(context, { query }) {
      const place = placeOf(context, query);
      if (!place.ok) return place;
      const { region, swarm } = place.value;
      const file = await askRegion(context, region, OWN_TIMEOUT_MS, (binding) =>
        binding.memoryExport(context.caller, swarm, query.shard ?? null),
      );
      if (!file.ok) return refusedBy(region, file);
      return ok({ status: 200, body: null, stream: file.value, contentType: SQLITE_TYPE, region });
    },
  }),

  endpoint<Uint8Array<ArrayBuffer>, { readonly region?: string | undefined }>({
    name: 'importMemory',
    doc: {
      summary: 'Take over the entries of a SQLite file',
      description: 'Of its table `memory`, as it is exported. The state before is kept as a restore point.',
      responses: { 200: ImportReplySchema },
    },
    query: MemoryQuerySchema,
    file: { limitBytes: MEMORY_LIMITS.importBytes, types: [SQLITE_TYPE, 'application/octet-stream'] },
    keyed: true,
    refuse: refuseRegion,
    async handle(context, { body, query }) {
      const place = placeOf(context, query);
      if (!place.ok) return place;
      const { region, swarm } = place.value;
      const imported = await callRegion(context, region, OWN_TIMEOUT_MS, (binding) =>
        binding.memoryImport(context.caller, swarm, body.buffer, requestKey(context)),
      );
      const answered: MemoryImportReply = imported.ok ? imported.value : imported;
      if (!answered.ok) return refusedBy(region, answered);
      return replyJson(200, answered.value, { region, replayed: answered.replayed });
    },
  }),

  endpoint({
    name: 'restoreMemory',
    doc: {
      summary: 'Go back to the state of a restore point',
      description:
        'All of it: entries, rights, quarantines. What is left becomes a restore point; tokens, epochs and numbers of entries go on rising.',
      responses: { 200: RestoreReplySchema },
    },
    query: MemoryQuerySchema,
    body: RestoreSchema,
    keyed: true,
    refuse: refuseRegion,
    async handle(context, { body, query }) {
      const place = placeOf(context, query);
      if (!place.ok) return place;
      const { region, swarm } = place.value;
      const restored = await callRegion(context, region, OWN_TIMEOUT_MS, (binding) =>
        binding.memoryRestore(context.caller, swarm, body.restorePoint, requestKey(context)),
      );
      const answered: MemoryRestoreReply = restored.ok ? restored.value : restored;
      if (!answered.ok) return refusedBy(region, answered);
      return replyJson(200, answered.value, { region, replayed: answered.replayed });
    },
  }),

  endpoint({
    name: 'eraseMemory',
    doc: {
      summary: 'Erase keys, or everything of an owner, and look that nothing is left',
      responses: { 200: ErasureSchema },
    },
    query: MemoryQuerySchema,
    body: EraseSchema,
    keyed: true,
    refuse: refuseRegion,
    async handle(context, { body, query }) {
      const place = placeOf(context, query);
      return place.ok ? answer(context, place.value, { type: 'erase', ...body }, { status: 200 }) : place;
    },
  }),
];

const UNANSWERED: MemoryReply = err({ kind: 'internal', detail: 'The region gave no answer.' });
