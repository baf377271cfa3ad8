import * as z from 'zod';
import { KmsKeys } from '../../wasm/sqlite/keys/kms-keys.ts';
import type { KeyProvider } from '../../wasm/sqlite/keys/key-provider.ts';
import { SecretKeys } from '../../wasm/sqlite/keys/secret-keys.ts';
import type { RegionEnv } from '../env.ts';

/** `MEMORY_KMS`, as JSON. */
const KmsSchema = z.strictObject({
  keyId: z.string().min(1),
  accessKeyId: z.string().min(1),
  secretAccessKey: z.string().min(1),
  sessionToken: z.string().optional(),
  endpoint: z.url().optional(),
});

const PROVIDERS = new Map<string, KeyProvider>();

/**
 * Where this region's data keys come from: its key service, else its own secrets, else nowhere: there is no default key, and a
 * memory without one answers that it is not configured.
 */
export function keyProviderOf(env: RegionEnv): KeyProvider | null {
  const [kms, secrets] = [env.MEMORY_KMS ?? '', env.MEMORY_KEYS ?? ''];
  if (kms === '' && secrets === '') return null;
  const name = JSON.stringify([env.REGION, kms, secrets]);
  const known = PROVIDERS.get(name);
  if (known !== undefined) return known;
  const provider =
    kms === '' ? SecretKeys.parse(secrets) : new KmsKeys({ ...KmsSchema.parse(JSON.parse(kms)), region: env.REGION });
  PROVIDERS.set(name, provider);
  return provider;
}
