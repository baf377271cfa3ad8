import * as z from 'zod';
import type { FleetError } from '../../../shared/errors.ts';
import { PROBLEMS } from '../../../shared/problem.ts';
import { err, ok, type Result } from '../../../shared/result.ts';
import { RegionNameSchema, ResidencySchema } from '../../../shared/schemas/common.ts';
import { invalidField } from '../../lib/validate.ts';
import type { ErrorWriter } from '../endpoint.ts';

/*
 * The wire of the fast-apply models: OpenAI's chat completions, with the edit in the last message of the user as
 * <instruction>…</instruction><code>…</code><update>…</update>. Whatever else such a request holds is meant for a model
 * and is ignored, except what would change where the code may go.
 */

const ContentSchema = z.union([z.string(), z.array(z.looseObject({ type: z.string(), text: z.string().optional() }))]);
const MessageSchema = z.looseObject({ role: z.string(), content: ContentSchema.nullish() });

const CommonShape = {
  model: z.string().optional(),
  stream: z.boolean().nullish().meta({ description: 'Only false: an edit is proved as a whole before any of it is sent' }),
  language: z.string().min(1).max(32).optional(),
  path: z.string().min(1).max(1_024).optional(),
  region: RegionNameSchema.optional(),
  residency: ResidencySchema.optional(),
};

export const ChatCompletionsSchema = z
  .looseObject({ ...CommonShape, messages: z.array(MessageSchema).min(1) })
  .meta({ id: 'ChatCompletions' });

const text = (description: string) => z.string().optional().meta({ description });
export const ApplySchema = z
  .looseObject({
    ...CommonShape,
    messages: z.array(MessageSchema).min(1).optional(),
    instruction: text('What the edit is for, in words'),
    code: text('The file as it is; also initial_code, original_code, originalCode, original'),
    update: text('The edit; also edit_snippet, code_edit, codeEdit, edit'),
  })
  .meta({ id: 'Apply' });

export type DropInCall = z.infer<typeof ApplySchema>;

/** An edit as such a request brings it. */
export interface DropInEdit {
  readonly instruction: string | undefined;
  readonly original: string;
  readonly edit: string;
}

const CODE_NAMES = ['code', 'initial_code', 'original_code', 'originalCode', 'original'] as const;
const UPDATE_NAMES = ['update', 'edit_snippet', 'code_edit', 'codeEdit', 'edit'] as const;

/** The edit of a call, from its fields or from its last message of a user. */
export function editOf(call: DropInCall): Result<DropInEdit, FleetError> {
  if (call.stream === true) return err(invalidField('stream', 'must be false: the answer comes whole'));
  if (call.messages === undefined) {
    const original = firstText(call, CODE_NAMES);
    const edit = firstText(call, UPDATE_NAMES);
    if (original === undefined) return err(invalidField('code', 'is required'));
    if (edit === undefined) return err(invalidField('update', 'is required'));
    return ok({ instruction: call.instruction, original, edit });
  }
  const message = call.messages.findLast(({ role }) => role === 'user');
  if (message === undefined) return err(invalidField('messages', 'holds no message of a user'));
  const content = message.content ?? '';
  const whole = typeof content === 'string' ? content : content.map((part) => part.text ?? '').join('');
  return partsOf(whole);
}

const firstText = (call: DropInCall, names: readonly string[]): string | undefined =>
  names.map((name) => call[name]).find((value): value is string => typeof value === 'string');

const INSTRUCTION = /^\s*<instructions?>([\s\S]*?)<\/instructions?>/;
const BETWEEN = /<\/code>\s*<update>/g;

/** Takes the parts out byte for byte. Tags may stand in the code itself, so what divides it must be there exactly once. */
function partsOf(content: string): Result<DropInEdit, FleetError> {
  const format = (message: string): { readonly ok: false; readonly error: FleetError } =>
    err(invalidField('messages', `${message}; expected <instruction>…</instruction><code>…</code><update>…</update>`));
  const instruction = INSTRUCTION.exec(content);
  const rest = instruction === null ? content : content.slice(instruction[0].length);
  const start = rest.indexOf('<code>');
  const end = rest.lastIndexOf('</update>');
  const dividers = [...rest.matchAll(BETWEEN)];
  const [divider] = dividers;
  if (start < 0 || end < 0 || divider === undefined) return format('the last message of the user holds no edit');
  if (dividers.length > 1) return format('the code and the edit cannot be told apart');
  const after = divider.index + divider[0].length;
  if (divider.index < start || end < after) return format('the parts are out of order');
  return ok({
    instruction: instruction?.[1],
    original: rest.slice(start + '<code>'.length, divider.index),
    edit: rest.slice(after, end),
  });
}

/** Tokens as those APIs estimate them, so that a caller's bookkeeping has a figure; nothing is charged by it. */
const tokens = (chars: number): number => Math.ceil(chars / 4);

/** The answer of a chat completion whose whole text is the merged file. */
export function completion(
  { model }: DropInCall,
  { original, edit, instruction }: DropInEdit,
  output: string,
  made: { readonly id: string; readonly atMs: number; readonly engine: string },
): object {
  const prompt = tokens(original.length + edit.length + (instruction?.length ?? 0));
  return {
    id: `chatcmpl-${made.id}`,
    object: 'chat.completion',
    created: Math.floor(made.atMs / 1_000),
    model: model ?? 'fleet-booster',
    system_fingerprint: made.engine,
    choices: [
      { index: 0, message: { role: 'assistant', content: output, refusal: null }, logprobs: null, finish_reason: 'stop' },
    ],
    usage: { prompt_tokens: prompt, completion_tokens: tokens(output.length), total_tokens: prompt + tokens(output.length) },
  };
}

/** Refusals as OpenAI's clients read them, with the statuses that every route has. */
export const openAiError: ErrorWriter = (error) => {
  const { status } = PROBLEMS[error.kind];
  return {
    status,
    body: {
      error: {
        message: error.detail,
        type: typeOf(error, status),
        param: error.kind === 'validation_failed' ? (error.errors[0]?.path ?? null) : null,
        code: error.kind === 'unauthorized' ? 'invalid_api_key' : error.kind,
        ...(error.kind === 'unsure'
          ? { reason: error.reason, ...(error.candidates === undefined ? {} : { candidates: error.candidates }) }
          : {}),
      },
    },
  };
};

function typeOf(error: FleetError, status: number): string {
  if (error.kind === 'unsure') return 'unsure';
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  if (status === 429) return 'rate_limit_error';
  return status >= 500 ? 'server_error' : 'invalid_request_error';
}
