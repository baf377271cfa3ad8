import { ok } from '../../../shared/result.ts';
import type { TaskView } from '../../../shared/rpc.ts';
import { batchOf, EmptyBodySchema, pageOf } from '../../../shared/schemas/common.ts';
import { SubmitTaskSchema, TaskBatchSchema, TaskSchema } from '../../../shared/schemas/tasks.ts';
import { WhySchema } from '../../../shared/schemas/why.ts';
import { defined } from '../../lib/defined.ts';
import { soleRegion } from '../batches.ts';
import { act, show } from '../commands.ts';
import { endpoint } from '../endpoint.ts';
import { requestKey } from '../idempotency.ts';
import { listAcrossRegions } from '../lists.ts';
import { findTask } from '../lookup.ts';
import { placeWork } from '../place-work.ts';
import { ListTasksQuerySchema, WaitQuerySchema } from '../queries.ts';
import { askRegion, OWN_TIMEOUT_MS } from '../region-calls.ts';
import { batchItem, batchReply, refusedBy, reply } from '../reply.ts';
import { submitBatch } from '../submit-batch.ts';
import { submitWork } from '../submit.ts';
import { taskJson } from '../views.ts';

export const TASK_ENDPOINTS = [
  endpoint({
    name: 'submitTask',
    doc: {
      summary: 'Submit a task',
      description: 'It is queued, and given to a connected agent of its pool.',
      responses: { 202: TaskSchema },
    },
    body: SubmitTaskSchema,
    keyed: true,
    async handle(context, { body }) {
      const work = submitWork(context, body, requestKey(context));
      if (!work.ok) return work;
      const [placed] = await placeWork(context, [work.value]);
      if (placed === undefined) throw new Error('work without an answer');
      if (!placed.reply.ok) return refusedBy(placed.region, placed.reply);
      const task = placed.reply.value as TaskView;
      return reply(202, taskJson(task), { region: task.region, replayed: placed.reply.replayed });
    },
  }),

  endpoint({
    name: 'submitTasks',
    doc: {
      summary: 'Submit up to 256 tasks',
      description:
        'An item may have a `ref`, and others of the batch may depend on it by that name. Such a graph goes to one region; a cycle is refused and named.',
      responses: { 200: batchOf(TaskSchema) },
    },
    body: TaskBatchSchema,
    async handle(context, { body }) {
      const answers = await submitBatch(context, body.tasks);
      const where = { instance: context.pathname, requestId: context.requestId };
      const items = answers.map(({ reply: answer }) =>
        batchItem(answer.ok ? ok({ status: 202, body: taskJson(answer.value as TaskView) }) : answer, where),
      );
      return batchReply(items, soleRegion(answers.map(({ region }) => region)));
    },
  }),

  endpoint({
    name: 'listTasks',
    doc: { summary: 'List tasks', responses: { 200: pageOf(TaskSchema) } },
    query: ListTasksQuerySchema,
    handle: (context, { query: { limit, cursor, region, ...filter } }) =>
      listAcrossRegions(context, {
        kind: 'task',
        filter,
        region,
        limit,
        cursor,
        write: taskJson,
        fetch: (at, after, count) =>
          askRegion(context, at, OWN_TIMEOUT_MS, (binding) => binding.listTasks(context.caller, defined(filter), after, count)),
      }),
  }),

  endpoint({
    name: 'getTask',
    doc: {
      summary: 'Read a task',
      description: 'With `waitMs` the answer comes when the task ends or the wait does.',
      responses: { 200: TaskSchema },
    },
    id: 'task',
    query: WaitQuerySchema,
    handle: async (context, { id, query }) => show(await findTask(context, id, query.waitMs), id.region, taskJson),
  }),

  endpoint({
    name: 'whyTask',
    doc: {
      summary: 'Say why a task waits',
      description:
        'What comes first (`waitsFor`), how many agents fail each predicate, the agents that come nearest, the place among what could go to the same agents, and when it should start; what is not known is left out.',
      responses: { 200: WhySchema },
    },
    id: 'task',
    handle: async (context, { id }) =>
      show(
        await askRegion(context, id.region, OWN_TIMEOUT_MS, (binding) => binding.whyTask(context.caller, id.text)),
        id.region,
        (why) => JSON.stringify(why),
      ),
  }),

  endpoint({
    name: 'cancelTask',
    doc: { summary: 'Cancel a task', responses: { 200: TaskSchema } },
    id: 'task',
    handle: (context, { id }) => act(context, id, { type: 'cancelTask', taskId: id.text }, { status: 200, write: taskJson }),
  }),

  endpoint({
    name: 'replayTask',
    doc: {
      summary: 'Submit a task that has ended once more',
      description: 'The new task names the old one in `replayOf`.',
      responses: { 202: TaskSchema },
    },
    id: 'task',
    body: EmptyBodySchema,
    keyed: true,
    handle: (context, { id }) => act(context, id, { type: 'replayTask', taskId: id.text }, { status: 202, write: taskJson }),
  }),
];
