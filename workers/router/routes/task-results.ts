import type { PoolCommandOf } from '../../../shared/rpc.ts';
import {
  CompleteTaskSchema,
  FailTaskSchema,
  ProgressReplySchema,
  ProgressTaskSchema,
  TaskSchema,
} from '../../../shared/schemas/tasks.ts';
import { act } from '../commands.ts';
import { endpoint } from '../endpoint.ts';
import { jsonField } from '../json-fields.ts';
import { taskJson } from '../views.ts';

/** What an agent without a socket says about a task it holds. The pool checks token and holder. */
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
    async handle(context, { id, body: { fencingToken, result } }) {
      const text = jsonField('result', result);
      if (!text.ok) return text;
      const command: PoolCommandOf<'completeTask'> = {
        type: 'completeTask',
        taskId: id.text,
        fencingToken,
        ...(text.value === undefined ? {} : { result: text.value }),
      };
      return act(context, id, command, { status: 200, write: taskJson });
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
    handle(context, { id, body: { fencingToken, error, retryable } }) {
      const failure = typeof error === 'string' ? { code: 'agent_error', message: error } : error;
      return act(
        context,
        id,
        { type: 'failTask', taskId: id.text, fencingToken, error: failure, retryable },
        { status: 200, write: taskJson },
      );
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
    async handle(context, { id, body: { fencingToken, progress, checkpoint } }) {
      const said = jsonField('progress', progress);
      if (!said.ok) return said;
      const kept = jsonField('checkpoint', checkpoint);
      if (!kept.ok) return kept;
      const command: PoolCommandOf<'progressTask'> = {
        type: 'progressTask',
        taskId: id.text,
        fencingToken,
        ...(said.value === undefined ? {} : { progress: said.value }),
        ...(kept.value === undefined ? {} : { checkpoint: kept.value }),
      };
      return act(context, id, command, { status: 200, write: (answer) => JSON.stringify(answer) });
    },
  }),
];
