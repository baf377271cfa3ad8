import * as z from 'zod';
import { LIMITS } from '../../../shared/limits.ts';
import { err } from '../../../shared/result.ts';
import { BoosterAnswerSchema } from '../../../shared/schemas/booster.ts';
import { ApplySchema, ChatCompletionsSchema, completion, type DropInCall, editOf, openAiError } from '../booster/drop-in.ts';
import { runBooster } from '../booster/run.ts';
import type { RequestContext } from '../context.ts';
import { endpoint } from '../endpoint.ts';
import { type Outcome, refusedBy, replyJson } from '../reply.ts';
import { boosterItem } from './booster.ts';

const CompletionSchema = z
  .looseObject({
    id: z.string(),
    object: z.literal('chat.completion'),
    created: z.int(),
    model: z.string(),
    choices: z.array(
      z.looseObject({
        index: z.int(),
        message: z.looseObject({ role: z.literal('assistant'), content: z.string() }),
        finish_reason: z.literal('stop'),
      }),
    ),
    usage: z.object({ prompt_tokens: z.int(), completion_tokens: z.int(), total_tokens: z.int() }),
  })
  .meta({ id: 'ChatCompletion' });
const AppliedSchema = CompletionSchema.extend({ mergedCode: z.string() }).meta({ id: 'Applied' });

/** Runs one edit; what is not sure is an error of that API, because its clients write whatever else they get. */
async function apply(context: RequestContext, call: DropInCall, more: (output: string) => object): Promise<Outcome> {
  const edit = editOf(call);
  if (!edit.ok) return edit;
  const { language, path, region, residency } = call;
  const { instruction, original, edit: text } = edit.value;
  const item = boosterItem(
    context,
    { operation: 'apply', language, path, original, edit: text, instruction, region, residency },
    null,
  );
  if (!item.ok) return item;
  const [done] = await runBooster(context, [item.value]);
  if (done === undefined) throw new Error('an operation without an answer');
  if (done.kind === 'failed') return refusedBy(done.region, { ok: false, error: done.error });
  if (done.kind === 'handedOver') throw new Error('nothing named a fallback');
  const answer = BoosterAnswerSchema.parse(JSON.parse(done.outcome.json));
  if (!answer.ok) {
    const { reason, detail, candidates } = answer;
    const error = { kind: 'unsure', reason, detail, ...(candidates === undefined ? {} : { candidates }) } as const;
    return done.region === null ? err(error) : { ok: false, error, region: done.region };
  }
  const output = String(answer.output);
  const made = { id: crypto.randomUUID(), atMs: Date.now(), engine: answer.engine };
  return replyJson(200, { ...completion(call, edit.value, output, made), ...more(output) }, { region: done.region ?? undefined });
}

const DESCRIPTION =
  'For tools that speak to a fast-apply model: `<instruction>…</instruction><code>…</code><update>…</update>` in, the merged file out. Fields meant for a model are ignored. Errors have OpenAI’s shape; an edit that is not sure is 422 `unsure`, with the reason.';

export const BOOSTER_DROP_IN_ENDPOINTS = [
  endpoint({
    name: 'chatCompletions',
    doc: { summary: 'Apply an edit, as a chat completion', description: DESCRIPTION, responses: { 200: CompletionSchema } },
    body: ChatCompletionsSchema,
    bodyBytes: LIMITS.boosterBodyBytes,
    writeError: openAiError,
    handle: (context, { body }) => apply(context, body, () => ({})),
  }),

  endpoint({
    name: 'applyEdit',
    doc: {
      summary: 'Apply an edit, as messages or as fields',
      description: `${DESCRIPTION} Also takes \`{instruction, code, update}\`, and answers \`mergedCode\` beside the completion.`,
      responses: { 200: AppliedSchema },
    },
    body: ApplySchema,
    bodyBytes: LIMITS.boosterBodyBytes,
    writeError: openAiError,
    handle: (context, { body }) => apply(context, body, (output) => ({ mergedCode: output })),
  }),
];
