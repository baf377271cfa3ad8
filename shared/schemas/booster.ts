import * as z from 'zod';
import { AGENT_OPERATIONS, BOOSTER_OPERATIONS, BOOSTER_REASONS, type BoosterOperation, EDIT_STYLES } from '../booster.ts';
import { LIMITS } from '../limits.ts';
import {
  AnyJsonSchema,
  CapabilitiesSchema,
  DurationSchema,
  InstantSchema,
  PoolNameSchema,
  PrioritySchema,
  RegionNameSchema,
  ResidencySchema,
} from './common.ts';

export const BoosterOperationSchema = z.enum([...BOOSTER_OPERATIONS, ...AGENT_OPERATIONS]);
export const BoosterReasonSchema = z.enum(BOOSTER_REASONS);

const PositionSchema = z
  .union([z.int().min(0), z.strictObject({ line: z.int().min(1), column: z.int().min(1) })])
  .meta({ description: 'An offset in UTF-16 units from 0, or line and column from 1' });

const ImportSchema = z.union([
  z.string().min(1).max(4_096),
  z.strictObject({
    module: z.string().min(1).max(1_024),
    names: z.array(z.string().min(1).max(256)).max(256).optional(),
    default: z.string().min(1).max(256).optional(),
    namespace: z.string().min(1).max(256).optional(),
    typeOnly: z.boolean().optional(),
    static: z.boolean().optional(),
  }),
]);
const ImportsSchema = z
  .strictObject({
    add: z.array(ImportSchema).max(256).optional(),
    remove: z.array(ImportSchema).max(256).optional(),
    sort: z.boolean().optional(),
    dedupe: z.boolean().optional(),
  })
  .meta({ description: 'Statements as they are written, or what they bring in' });

const TemplateSchema = z
  .strictObject({
    kind: z.string().min(1).max(64),
    name: z.string().min(1).max(256),
    parameters: z
      .array(z.strictObject({ name: z.string().min(1).max(256), type: z.string().min(1).max(256).optional() }))
      .max(64)
      .optional(),
    returns: z.string().min(1).max(256).optional(),
    description: z.string().max(8_192).optional(),
  })
  .meta({ description: 'What to scaffold; docs/booster.md has the kinds and their members' });

const TaskShape = {
  operation: BoosterOperationSchema,
  language: z
    .string()
    .min(1)
    .max(32)
    .optional()
    .meta({ description: 'Such as typescript; absent: told by the path, else by the code', example: 'typescript' }),
  path: z.string().min(1).max(1_024).optional().meta({ example: 'src/index.ts' }),
  original: z.string().optional().meta({ description: 'The file as it is' }),
  edit: z.string().optional().meta({ description: 'apply: the edit; diff: the other version' }),
  style: z.enum(EDIT_STYLES).optional().meta({ description: 'How the edit is written; absent: told by the edit' }),
  query: z.string().max(16_384).optional().meta({ description: 'A tree-sitter query' }),
  pattern: z.string().max(16_384).optional().meta({ description: 'Code with metavariables such as $A or $$$ARGS' }),
  rewrite: z.string().max(16_384).optional().meta({ description: 'rewrite: what takes the place; rename: the new name' }),
  symbol: z.string().min(1).max(256).optional().meta({ description: 'rename: the name as it is' }),
  position: PositionSchema.optional(),
  imports: ImportsSchema.optional(),
  template: TemplateSchema.optional(),
  instruction: z.string().max(65_536).optional().meta({ description: 'In words, for the agent that may take over' }),
  priority: PrioritySchema.optional().meta({ description: 'Who goes first where work waits; default 5' }),
};

type Field = Exclude<keyof typeof TaskShape, 'operation'>;

/** Fields without which an operation means nothing. Those of agents need whatever their agent needs. */
const NEEDS: Readonly<Record<(typeof BOOSTER_OPERATIONS)[number], readonly Field[]>> = {
  apply: ['original', 'edit'],
  outline: ['original'],
  check: ['original'],
  query: ['original', 'query'],
  search: ['original', 'pattern'],
  rewrite: ['original', 'pattern', 'rewrite'],
  rename: ['original'],
  imports: ['original', 'imports'],
  diff: ['original', 'edit'],
  metrics: ['original'],
  scaffold: ['template'],
};

type Shaped = { readonly operation?: BoosterOperation | undefined } & { readonly [K in Field]?: unknown };

function requireFields(task: Shaped, context: z.RefinementCtx): void {
  const { operation } = task;
  if (operation === undefined || !(operation in NEEDS)) return;
  const required = (field: Field): void =>
    context.addIssue({ code: 'custom', path: [field], message: `is required for ${operation}` });
  for (const field of NEEDS[operation as keyof typeof NEEDS]) if (task[field] === undefined) required(field);
  if (operation !== 'rename') return;
  // The new name is `rewrite`; with a position that says which symbol is meant, it may be `symbol`.
  if (task.position === undefined && task.symbol === undefined) required('symbol');
  else if (task.rewrite === undefined && (task.position === undefined || task.symbol === undefined)) required('rewrite');
}

/** One operation, as the booster Worker gets it. */
export type BoosterInstruction = z.infer<z.ZodObject<typeof TaskShape>>;

const FallbackSchema = z.strictObject({
  pool: PoolNameSchema,
  capabilities: CapabilitiesSchema.optional(),
  timeoutMs: z.int().min(1_000).max(LIMITS.taskTimeoutMsMax).optional(),
});

const CallShape = {
  fallback: FallbackSchema.optional().meta({ description: 'Where an agent does what the booster leaves undone' }),
  region: RegionNameSchema.optional(),
  residency: ResidencySchema.optional(),
};

/** One operation with where it may run and who does it otherwise. */
export const BoosterTaskSchema = z
  .strictObject({ ...TaskShape, ...CallShape })
  .superRefine(requireFields)
  .meta({ id: 'BoosterTask' });
export type BoosterTask = z.infer<typeof BoosterTaskSchema>;

/** Either one operation or a batch, whose `region`, `residency` and `fallback` hold for the items that bring none. */
export const BoosterCallSchema = z
  .strictObject({
    ...TaskShape,
    operation: BoosterOperationSchema.optional(),
    ...CallShape,
    tasks: z
      .array(z.unknown())
      .min(1)
      .max(LIMITS.boosterBatch)
      .optional()
      .meta({ description: 'BoosterTask items, each with an optional idempotencyKey' }),
  })
  .superRefine((call, context) => {
    if (call.tasks === undefined) {
      if (call.operation === undefined) context.addIssue({ code: 'custom', path: ['operation'], message: 'is required' });
      requireFields(call, context);
      return;
    }
    for (const field of Object.keys(TaskShape)) {
      if (call[field as keyof typeof TaskShape] !== undefined)
        context.addIssue({ code: 'custom', path: [field], message: 'belongs into the items of tasks' });
    }
  })
  .meta({ id: 'BoosterCall' });
export type BoosterCall = z.infer<typeof BoosterCallSchema>;

const Ok = z.looseObject({
  ok: z.literal(true),
  output: AnyJsonSchema.meta({ description: 'The new file, or what was found' }),
  engine: z.string(),
  proofs: z.array(z.string()).meta({ description: 'What was proved of the output before it was answered' }),
});
const Refused = z.looseObject({
  ok: z.literal(false),
  reason: BoosterReasonSchema,
  detail: z.string(),
  candidates: z.array(z.unknown()).optional(),
});
export const BoosterAnswerSchema = z.union([Ok, Refused]).meta({ id: 'BoosterAnswer' });
export type BoosterAnswer = z.infer<typeof BoosterAnswerSchema>;

/** An agent does it: the task to wait for, and why the booster did not. */
export const BoosterHandedOverSchema = z
  .object({
    taskId: z.string(),
    pool: z.string(),
    region: z.string(),
    reason: z.union([BoosterReasonSchema, z.literal('standard')]),
    detail: z.string(),
  })
  .meta({ id: 'BoosterHandedOver' });
export type BoosterHandedOver = z.infer<typeof BoosterHandedOverSchema>;

const TallyShape = {
  operations: z.int(),
  done: z.int(),
  refused: z.record(z.string(), z.int()).meta({ description: 'By reason' }),
  panics: z.int().meta({ description: 'Instances that failed under an operation and were replaced' }),
  recycled: z.int().meta({ description: 'Instances replaced for their size, their age or an exhausted budget' }),
};

export const BoosterSlotSchema = z.object({
  slot: z.int(),
  state: z.enum(['idle', 'busy']),
  memoryBytes: z.int(),
  operations: z.int().meta({ description: 'Of the caller’s fleet on this instance' }),
});
/** One isolate: its slots, and what it did for one fleet from one region. */
export const BoosterIsolateSchema = z.object({
  isolate: z.string(),
  startedAtMs: InstantSchema,
  slotsMax: z.int(),
  slots: z.array(BoosterSlotSchema),
  ...TallyShape,
});
export type BoosterIsolate = z.infer<typeof BoosterIsolateSchema>;

export const BoosterStatusSchema = z
  .object({
    region: z.string(),
    slots: z.object({ max: z.int(), started: z.int(), busy: z.int() }),
    ...TallyShape,
    isolates: z.array(BoosterIsolateSchema),
    unreachable: z.int().meta({ description: 'Bound booster Workers that did not answer' }),
  })
  .meta({ id: 'BoosterStatus' });
export type BoosterStatus = z.infer<typeof BoosterStatusSchema>;

const OperationReportSchema = z.object({
  operations: z.int(),
  done: z.int(),
  refused: z.int(),
  faults: z.int(),
  meanMs: z.number(),
  p50Ms: z.number(),
  p99Ms: z.number(),
});
export const BoosterReportSchema = z
  .object({
    region: z.string(),
    sinceMs: InstantSchema,
    calls: z.int(),
    operations: z.record(z.string(), OperationReportSchema),
    timeouts: z.int(),
    durationMs: DurationSchema,
  })
  .meta({ id: 'BoosterReport', description: 'As one isolate of the region’s Worker measured it for the caller’s fleet' });
export type BoosterReport = z.infer<typeof BoosterReportSchema>;
