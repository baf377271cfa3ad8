import type { MemoryPaths } from './api/memory.ts';
import { FleetError } from './errors.ts';
import type { CallOptions } from './http.ts';
import type { Artifact, MemoryLease, MemoryLevel } from './types.ts';

export interface ArtifactOptions {
  readonly contentType?: string | undefined;
  readonly level?: MemoryLevel | undefined;
  readonly taskId?: string | undefined;
  readonly ttlMs?: number | undefined;
  readonly lease?: MemoryLease | undefined;
}

const hexOf = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
const sha256Of = async (bytes: Uint8Array<ArrayBuffer>): Promise<string> =>
  hexOf(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)));

const STEP = 0x80_00;
function toBase64(bytes: Uint8Array): string {
  let binary = '';
  for (let at = 0; at < bytes.length; at += STEP) binary += String.fromCharCode(...bytes.subarray(at, at + STEP));
  return btoa(binary);
}

const pathOf = (paths: MemoryPaths, id: string, rest = ''): string => paths.path(`/artifacts/${encodeURIComponent(id)}${rest}`);

/** Sends a result in chunks; it can be read when the last of them is there. */
export async function putArtifact(
  paths: MemoryPaths,
  name: string,
  content: Uint8Array<ArrayBuffer>,
  { contentType, level, taskId, ttlMs, lease }: ArtifactOptions,
  options?: CallOptions,
): Promise<Artifact> {
  const body = { name, bytes: content.length, sha256: await sha256Of(content), contentType, level, taskId, ttlMs, lease };
  let artifact = await paths.post<Artifact>('/artifacts', body, options);
  for (let number = 0; number < artifact.chunks; number += 1) {
    const chunk = content.subarray(number * artifact.chunkBytes, (number + 1) * artifact.chunkBytes);
    artifact = await paths.put<Artifact>(pathOf(paths, artifact.id, `/chunks/${number}`), { data: toBase64(chunk) }, options);
  }
  return artifact;
}

/** Reads a result whole, and checks it against its digest. */
export async function getArtifact(paths: MemoryPaths, id: string, options?: CallOptions): Promise<Uint8Array<ArrayBuffer>> {
  const artifact = await paths.get<Artifact>(pathOf(paths, id), undefined, options);
  const content = new Uint8Array(artifact.bytes);
  for (let number = 0; number < artifact.chunks; number += 1) {
    const { data } = await paths.get<{ data: string }>(pathOf(paths, id, `/chunks/${number}`), undefined, options);
    content.set(
      Uint8Array.from(atob(data), (character) => character.charCodeAt(0)),
      number * artifact.chunkBytes,
    );
  }
  if ((await sha256Of(content)) !== artifact.sha256) throw new FleetError(`Artifact ${id} is not what was stored.`);
  return content;
}

export const deleteArtifact = (paths: MemoryPaths, id: string, options?: CallOptions): Promise<void> =>
  paths.http.send({ method: 'DELETE', path: pathOf(paths, id), query: paths.query() }, options);
