import * as z from 'zod';
import type { FleetError } from '../../../shared/errors.ts';
import { notFound } from '../../../shared/errors.ts';
import { err, ok, unreachable, type Result } from '../../../shared/result.ts';
import type { PoolCommand, PoolOutput } from '../../../shared/rpc.ts';
import { batchOf } from '../../../shared/schemas/common.ts';
import {
  CompleteTaskSchema,
  FailTaskSchema,
  ProgressReplySchema,
  ProgressTaskSchema,
  TaskResultSchema,
  TaskResultsSchema,
  TaskSchema,
  type TaskResult,
} from '../../../shared/schemas/tasks.ts';
import { validate } from '../../lib/validate.ts';
import { executeAddressed, itemId, soleRegion, type AddressedItem } from '../batches.ts';
import { act } from '../commands.ts';
import type { RequestContext } from '../context.ts';
import { endpoint } from '../endpoint.ts';
import { batchItem, batchReply } from '../reply.ts';
import { completion, failure, progress } from '../task-results.ts';
import { taskJson } from '../views.ts';

/** What an agent without a socket says about tasks it holds. The pool checks token and holder. */
export const TASK_RESULT_ENDPOINTS = [
  endpoint({
    name: 'completeTask',
    doc: {
      summary: 'Complete a task',
      description: 'Again with the same token: the same answer.',
      responses: { 200: TaskSchema },
    },
    id: 'task',
    body: CompleteTaskSchema,
    keyed: true,
    async handle(context, { id, body }) {
      const command = completion(id.text, body);
      return command.ok ? act(context, id, command.value, { status: 200, write: taskJson }) : command;
    },
  }),

  endpoint({
    name: 'failTask',
    doc: {
      summary: 'Fail a task',
      description: 'It is tried again unless `retryable` is false or no attempt is left.',
      responses: { 200: TaskSchema },
    },
    id: 'task',
    body: FailTaskSchema,
    keyed: true,
    async handle(context, { id, body }) {
      const command = failure(id.text, body);
      return command.ok ? act(context, id, command.value, { status: 200, write: taskJson }) : command;
    },
  }),

  endpoint({
    name: 'progressTask',
    doc: {
      summary: 'Report progress, and keep a checkpoint',
      description: 'The first progress accepts the task.',
      responses: { 200: ProgressReplySchema },
    },
    id: 'task',
    body: ProgressTaskSchema,
    keyed: true,
    async handle(context, { id, body }) {
      const command = progress(id.text, body);
      return command.ok ? act(context, id, command.value, { status: 200, write: (answer) => JSON.stringify(answer) }) : command;
    },
  }),

  endpoint({
    name: 'reportTasks',
    doc: {
      summary: 'Complete, fail or report progress of up to 256 tasks',
      description: 'One transaction per pool shard; each item answers as its own call would.',
      responses: { 200: batchOf(z.union([TaskSchema, ProgressReplySchema])) },
    },
    body: TaskResultsSchema,
    async handle(context, { body }) {
      const read = body.results.map((item) => readResult(context, item));
      const addressed = read.flatMap((item) => (item.ok ? [item.value] : []));
      const answers = [...(await executeAddressed(context, addressed))];
      const where = { instance: context.pathname, requestId: context.requestId };
      const items = read.map((item) => {
        const answer = item.ok ? answers.shift() : item;
        if (answer === undefined || !answer.ok) return batchItem(answer ?? err(notFound('task')), where);
        const told = item.ok && item.value.request.command.type === 'progressTask';
        const json = told ? JSON.stringify(answer.value) : taskJson(answer.value as PoolOutput<'completeTask'>);
        return batchItem(ok({ status: 200, body: json }), where);
      });
      return batchReply(items, soleRegion(addressed.map(({ id }) => id.region)));
    },
  }),
];

function readResult(context: RequestContext, item: unknown): Result<AddressedItem, FleetError> {
  const said = validate(TaskResultSchema, item);
  if (!said.ok) return said;
  const id = itemId(context, 'task', said.value.id);
  if (!id.ok) return id;
  const command = commandOf(said.value);
  return command.ok ? ok({ id: id.value, request: { command: command.value } }) : command;
}

function commandOf(said: TaskResult): Result<PoolCommand, FleetError> {
  switch (said.op) {
    case 'complete':
      return completion(said.id, said);
    case 'fail':
      return failure(said.id, said);
    case 'progress':
      return progress(said.id, said);
    default:
      return unreachable(said);
  }
}
