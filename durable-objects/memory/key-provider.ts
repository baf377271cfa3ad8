import type { KeyProvider } from '../../wasm/sqlite/keys/key-provider.ts';
import { SecretKeys } from '../../wasm/sqlite/keys/secret-keys.ts';
import type { RegionEnv } from '../env.ts';

const PROVIDERS = new Map<string, KeyProvider>();

/** Where this region's data keys come from, or null where nothing is configured: there is no default key. */
export function keyProviderOf(env: RegionEnv): KeyProvider | null {
  const text = env.MEMORY_KEYS ?? '';
  if (text === '') return null;
  const known = PROVIDERS.get(text);
  if (known !== undefined) return known;
  const provider = SecretKeys.parse(text);
  PROVIDERS.set(text, provider);
  return provider;
}
