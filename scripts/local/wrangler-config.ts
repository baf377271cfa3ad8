import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'smol-toml';
import * as z from 'zod';
import { ROOT } from '../checks.ts';

/**
 * What the local fleet takes from `wrangler.toml`, so that nothing is declared twice. Wrangler's own reader would do, but
 * importing it takes a second, which is the whole time a local start may take.
 */
const EnvironmentSchema = z.object({
  name: z.string(),
  main: z.string().optional(),
  compatibility_flags: z.array(z.string()).default([]),
  vars: z.record(z.string(), z.string()).default({}),
  services: z.array(z.object({ binding: z.string(), service: z.string(), entrypoint: z.string().optional() })).default([]),
  durable_objects: z.object({ bindings: z.array(z.object({ name: z.string(), class_name: z.string() })) }).optional(),
  migrations: z.array(z.object({ tag: z.string(), new_sqlite_classes: z.array(z.string()).default([]) })).default([]),
  assets: z.object({ binding: z.string() }).optional(),
});
const FileSchema = z.object({
  main: z.string(),
  compatibility_date: z.string(),
  env: z.record(z.string(), EnvironmentSchema),
});

export type Environment = z.infer<typeof EnvironmentSchema> & { readonly main: string; readonly compatibilityDate: string };

const readFile = (): z.infer<typeof FileSchema> =>
  FileSchema.parse(parse(readFileSync(path.join(ROOT, 'wrangler.toml'), 'utf8')));

/** The names of all environments, in the file's order. */
export const environmentNames = (): readonly string[] => Object.keys(readFile().env);

/** Environments by name, with what they inherit from the top level. */
export function readEnvironments(): ReadonlyMap<string, Environment> {
  const file = readFile();
  return new Map(
    Object.entries(file.env).map(([name, environment]) => [
      name,
      { ...environment, main: environment.main ?? file.main, compatibilityDate: file.compatibility_date },
    ]),
  );
}
