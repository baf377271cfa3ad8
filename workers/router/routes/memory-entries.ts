import { utf8Bytes } from '../../../shared/json.ts';
import { MEMORY_LIMITS } from '../../../shared/memory-limits.ts';
import type { StoreInput } from '../../../shared/memory-rpc.ts';
import type { FleetError } from '../../../shared/errors.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import { pageOf } from '../../../shared/schemas/common.ts';
import {
  MemoryEntrySchema,
  MemoryVersionSchema,
  PermissionsSchema,
  PutEntrySchema,
  RollbackSchema,
  type PutEntry,
} from '../../../shared/schemas/memory.ts';
import { defined } from '../../lib/defined.ts';
import { invalidField } from '../../lib/validate.ts';
import type { RequestContext } from '../context.ts';
import { endpoint } from '../endpoint.ts';
import { answer, answerPage, ask, entryJson, entryPlace, placeOf, refuseRegion } from '../memory.ts';
import {
  DeleteEntryQuerySchema,
  EntryQuerySchema,
  HistoryQuerySchema,
  ListEntriesQuerySchema,
  MemoryQuerySchema,
  ReadEntryQuerySchema,
} from '../queries.ts';
import { askRegion, OWN_TIMEOUT_MS } from '../region-calls.ts';
import { refusedBy, reply } from '../reply.ts';

/** The write that a body asks for, its value as it is stored. */
export function storeInput(key: string, body: Omit<PutEntry, 'lease'> & Pick<PutEntry, 'lease'>): Result<StoreInput, FleetError> {
  const { value, ...rest } = body;
  const text = JSON.stringify(value);
  if (utf8Bytes(text) > MEMORY_LIMITS.valueBytes) {
    const limitBytes = MEMORY_LIMITS.valueBytes;
    return err({ kind: 'payload_too_large', limitBytes, detail: `value is larger than ${limitBytes} bytes.` });
  }
  return ok({ key, value: text, ...defined(rest) });
}

/** 404 comes before an error of the body. */
const entryMissing = async (context: RequestContext): Promise<FleetError | null> => {
  const place = entryPlace(context, { region: new URL(context.request.url).searchParams.get('region') ?? undefined });
  if (!place.ok) return place.error;
  const found = await ask(context, place.value, { type: 'getPermissions', key: place.value.key });
  return found.ok ? null : found.error;
};

export const MEMORY_ENTRY_ENDPOINTS = [
  endpoint({
    name: 'listEntries',
    doc: {
      summary: 'List entries that the caller may read',
      description: 'In the order of creation. A page may end early when its values are large.',
      responses: { 200: pageOf(MemoryEntrySchema) },
    },
    query: ListEntriesQuerySchema,
    refuse: refuseRegion,
    async handle(context, { query }) {
      const place = placeOf(context, query);
      if (!place.ok) return place;
      const { region: _region, limit: _limit, cursor: _cursor, ...filter } = query;
      return answerPage(context, place.value, {
        query,
        command: (paging) => ({ type: 'list', ...defined(filter), ...paging }),
        write: entryJson,
      });
    },
  }),

  endpoint({
    name: 'putEntry',
    doc: {
      summary: 'Store a value',
      description:
        'Without a level an existing entry keeps its own, and a new one is private. With another level than it has, the caller’s own entry moves there.',
      responses: { 200: MemoryEntrySchema, 201: MemoryEntrySchema },
    },
    query: MemoryQuerySchema,
    body: PutEntrySchema,
    keyed: true,
    refuse: refuseRegion,
    async handle(context, { body, query }) {
      const place = entryPlace(context, query);
      if (!place.ok) return place;
      const input = storeInput(place.value.key, body);
      if (!input.ok) return input;
      return answer(
        context,
        place.value,
        { type: 'store', ...input.value },
        { status: ({ created }) => (created ? 201 : 200), write: ({ entry }) => entryJson(entry) },
      );
    },
  }),

  endpoint({
    name: 'getEntry',
    doc: {
      summary: 'Read an entry',
      description:
        'A key may mean several entries: the caller’s own private one comes first, then its team’s, then the swarm’s, then what lists open. `owner` and `level` choose another.',
      responses: { 200: MemoryEntrySchema },
    },
    query: ReadEntryQuerySchema,
    refuse: refuseRegion,
    async handle(context, { query }) {
      const place = entryPlace(context, query);
      if (!place.ok) return place;
      const { region, swarm, key } = place.value;
      const { maxStaleMs, owner, level } = query;
      const read = await askRegion(context, region, OWN_TIMEOUT_MS, (binding) =>
        binding.memoryEntry(context.caller, swarm, defined({ key, owner, level }), maxStaleMs),
      );
      return read.ok ? reply(200, entryJson(read.value), { region }) : refusedBy(region, read);
    },
  }),

  endpoint({
    name: 'deleteEntry',
    doc: { summary: 'Delete an entry with its history', responses: { 204: null } },
    query: DeleteEntryQuerySchema,
    keyed: true,
    refuse: refuseRegion,
    async handle(context, { query }) {
      const place = entryPlace(context, query);
      if (!place.ok) return place;
      const { owner, level, ifVersion, allocationId, fencingToken } = query;
      if ((allocationId === undefined) !== (fencingToken === undefined)) {
        return err(invalidField('fencingToken', 'goes with allocationId, and only with it'));
      }
      const lease = allocationId === undefined || fencingToken === undefined ? undefined : { allocationId, fencingToken };
      const command = { type: 'delete', key: place.value.key, ...defined({ owner, level, ifVersion, lease }) } as const;
      return answer(context, place.value, command, { status: 204 });
    },
  }),

  endpoint({
    name: 'getPermissions',
    doc: { summary: 'Read who may do what with an entry', responses: { 200: PermissionsSchema } },
    query: EntryQuerySchema,
    refuse: refuseRegion,
    async handle(context, { query }) {
      const place = entryPlace(context, query);
      if (!place.ok) return place;
      const ref = defined({ owner: query.owner, level: query.level });
      return answer(context, place.value, { type: 'getPermissions', key: place.value.key, ...ref }, { status: 200 });
    },
  }),

  endpoint({
    name: 'putPermissions',
    doc: {
      summary: 'Set level and lists of an entry',
      description: 'By its owner or an admin. What was written before somebody came into a list stays closed to it.',
      responses: { 200: PermissionsSchema },
    },
    query: EntryQuerySchema,
    body: PermissionsSchema,
    refuse: refuseRegion,
    missing: entryMissing,
    async handle(context, { body, query }) {
      const place = entryPlace(context, query);
      if (!place.ok) return place;
      const ref = defined({ owner: query.owner, level: query.level });
      const command = { type: 'setPermissions', key: place.value.key, permissions: body, ...ref } as const;
      return answer(context, place.value, command, { status: 200 });
    },
  }),

  endpoint({
    name: 'entryHistory',
    doc: {
      summary: 'List the versions of an entry that the caller may read, oldest first',
      responses: { 200: pageOf(MemoryVersionSchema) },
    },
    query: HistoryQuerySchema,
    refuse: refuseRegion,
    async handle(context, { query }) {
      const place = entryPlace(context, query);
      if (!place.ok) return place;
      const ref = defined({ owner: query.owner, level: query.level });
      return answerPage(context, place.value, {
        query,
        command: (paging) => ({ type: 'history', key: place.value.key, ...ref, ...paging }),
        write: entryJson,
      });
    },
  }),

  endpoint({
    name: 'rollbackEntry',
    doc: { summary: 'Make an older version the present one again, as a new version', responses: { 200: MemoryEntrySchema } },
    query: EntryQuerySchema,
    body: RollbackSchema,
    keyed: true,
    refuse: refuseRegion,
    missing: entryMissing,
    async handle(context, { body, query }) {
      const place = entryPlace(context, query);
      if (!place.ok) return place;
      const ref = defined({ owner: query.owner, level: query.level });
      const command = { type: 'rollback', key: place.value.key, ...ref, ...defined(body) } as const;
      return answer(context, place.value, command, { status: 200, write: ({ entry }) => entryJson(entry) });
    },
  }),
];
