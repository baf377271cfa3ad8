import * as z from 'zod';
import { POOL_NAME, REGION_NAME } from '../ids.ts';
import { LIMITS } from '../limits.ts';

/** A JSON text as stored and sent between objects: free-form values are never cloned, merged or walked inside. */
export type JsonText = string;

/** Any JSON value; its size and depth are checked where the body is read. */
export const AnyJsonSchema = z.unknown().meta({ description: 'Any JSON value' });

const isRecord = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v);

/** A free-form JSON object, passed through by reference: keys such as `__proto__` stay inert data. */
export const MetadataSchema = z
  .custom<Record<string, unknown>>(isRecord, 'must be a JSON object')
  .meta({ type: 'object', additionalProperties: true, description: `Free-form, at most ${LIMITS.metadataBytes} bytes of JSON` });

export const PoolNameSchema = z.string().regex(POOL_NAME, 'must match [a-z][a-z0-9-]{0,31}').meta({ example: 'coder' });
export const RegionNameSchema = z.string().max(32).meta({ example: 'eu-west-1' });
export { REGION_NAME };

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.:/+@#-]*$/;
export const CapabilitySchema = z
  .string()
  .min(1)
  .max(LIMITS.nameChars)
  .regex(NAME, 'must be a plain name')
  .meta({ example: 'typescript' });
export const CapabilitiesSchema = z.array(CapabilitySchema).max(LIMITS.capabilities);
/**
 * A record of free keys. `z.record` drops an own `__proto__` key without a word, and a selector that has lost its only
 * condition matches every agent: here the key is refused like any other that does not fit.
 */
export const dictionary = <V extends z.ZodType>(
  key: z.ZodString,
  value: V,
): z.ZodType<Record<string, z.output<V>>, Record<string, z.input<V>>> =>
  z.preprocess(
    (input, context) => {
      if (isRecord(input) && Object.hasOwn(input, '__proto__')) {
        context.issues.push({ code: 'custom', input, path: ['__proto__'], message: 'is not a key that can be used' });
      }
      return input;
    },
    z.record(key, value),
  ) as unknown as z.ZodType<Record<string, z.output<V>>, Record<string, z.input<V>>>;

export const LabelsSchema = dictionary(
  z.string().min(1).max(LIMITS.nameChars).regex(NAME, 'must be a plain name'),
  z.string().max(256),
).refine((labels) => Object.keys(labels).length <= LIMITS.labels, `at most ${LIMITS.labels} labels`);
export const SwarmNameSchema = z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'must match [a-z0-9][a-z0-9-]{0,63}');

export const PrioritySchema = z
  .int()
  .min(LIMITS.priorityMin)
  .max(LIMITS.priorityMax)
  .meta({ description: 'Higher is more important' });
export const FencingTokenSchema = z.int().positive();
export const LeaseMsSchema = z.int().min(LIMITS.leaseMsMin).max(LIMITS.leaseMsMax);
export const WaitMsSchema = z.int().min(0).max(LIMITS.waitMsMax);
export const InstantSchema = z.int().min(0).meta({ description: 'Epoch milliseconds' });
export const DurationSchema = z.int().min(0).meta({ description: 'Milliseconds' });

export const ResidencySchema = z
  .strictObject({
    allowed: z.array(z.string().min(1).max(32)).min(1).max(64).meta({ description: 'Regions or residency groups' }),
    enforcement: z.enum(['strict', 'preferred']).default('strict'),
  })
  .meta({ id: 'Residency' });
export type Residency = z.infer<typeof ResidencySchema>;

export const EmptyBodySchema = z.strictObject({});
export const pageOf = <T extends z.ZodType>(item: T) => z.object({ data: z.array(item), nextCursor: z.string().optional() });
export const batchOf = <T extends z.ZodType>(item: T) =>
  z.object({
    results: z.array(z.object({ status: z.int(), body: item.optional(), problem: z.unknown().optional() })),
  });
export const IdempotencyKeySchema = z
  .string()
  .regex(
    new RegExp(`^[\\x21-\\x7e]{1,${LIMITS.idempotencyKeyChars}}$`),
    `must be 1 to ${LIMITS.idempotencyKeyChars} visible ASCII characters`,
  );
