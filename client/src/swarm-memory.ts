import { batch, MemoryPaths } from './api/memory.ts';
import { collect, pages } from './api/pages.ts';
import * as fleetApi from './api/fleet.ts';
import type { BatchResult } from './batch.ts';
import { checkConfig, type FleetManagerOptions } from './config.ts';
import { NotFoundError } from './errors.ts';
import { FleetManager } from './fleet-manager.ts';
import type { CallOptions, Query } from './http.ts';
import { deleteArtifact, getArtifact, putArtifact, type ArtifactOptions } from './memory-artifacts.ts';
import { MemoryClaim } from './memory-claim.ts';
import type {
  ACLPermissions,
  Artifact,
  ClaimInfo,
  ClaimOptions,
  Consensus,
  Dependency,
  EraseRequest,
  Erasure,
  MemoryAuditRow,
  MemoryConflict,
  MemoryEntry,
  MemoryEvent,
  MemoryFilter,
  MemoryLease,
  MemoryOperation,
  MemorySettings,
  MemorySettingsInput,
  MemoryStatus,
  MemoryVersion,
  NearestInput,
  Quarantined,
  RetrieveOptions,
  ScoredEntry,
  SearchInput,
  StoreOptions,
} from './types.ts';

export { MemoryClaim };

/** Whose memory, and how the fleet is reached. */
export interface MemoryConfig extends FleetManagerOptions {
  readonly swarm: string;
  /** A manager whose connection is used; else one is made from the options beside it. */
  readonly fleet?: FleetManager | undefined;
  /** SPECIFICATION §2.2; what the edge replaces is refused with what to do instead. */
  readonly backend?: 'sqlite' | 'redis' | 'hybrid' | undefined;
  readonly sqlitePath?: string | undefined;
  readonly aclEnabled?: boolean | undefined;
  readonly encryption?: unknown;
}

/**
 * What a swarm of agents knows together, in one region: values under keys, with levels and lists of who may do what.
 * An agent uses its own token and is in its own region; others name a region, or have the fleet's home.
 *
 * ```ts
 * const memory = new SwarmMemory({ swarm: 'hive', endpoint, token });
 * await memory.store('plan', { step: 1 }, { level: 'swarm' });
 * console.log(await memory.retrieve('plan'));
 * ```
 */
export class SwarmMemory {
  readonly #fleet: FleetManager;
  readonly #ownsFleet: boolean;
  readonly #paths: MemoryPaths;

  constructor(config: MemoryConfig) {
    const { swarm, fleet, backend, sqlitePath, aclEnabled, encryption, ...options } = config;
    checkConfig({ ...options, memory: { backend, sqlitePath, aclEnabled, encryption } });
    this.#fleet = fleet ?? new FleetManager(options);
    this.#ownsFleet = fleet === undefined;
    this.#paths = new MemoryPaths(() => this.#fleet.http, swarm, config.region);
  }

  /** Checks that the fleet serves and that the memory may be read with this token. */
  async initialize(options?: CallOptions): Promise<void> {
    await fleetApi.ready(this.#fleet.http, options);
    await this.#paths.get(this.#paths.path('/entries'), { limit: 1, values: false }, options);
  }

  /** Ends what runs. What was stored stays. */
  async shutdown(): Promise<void> {
    if (this.#ownsFleet) await this.#fleet.shutdown();
  }

  // Values

  /**
   * Stores a value and answers what is known of the entry. With `ifVersion` only if it still has that version (0: only if
   * there is none), else {@link VersionConflictError}.
   */
  async store(key: string, value: unknown, { ttl, ...rest }: StoreOptions = {}, options?: CallOptions): Promise<MemoryEntry> {
    const ttlMs = rest.ttlMs ?? ttl;
    const body = { ...rest, value, ...(ttlMs === undefined ? {} : { ttlMs }) };
    // A repeat of a conditional write would find its own first try; a key makes it the same request.
    return this.#paths.put(this.#paths.entry(key), body, options, { creates: rest.ifVersion !== undefined });
  }

  /** The value, or `undefined` where there is none that may be read. */
  async retrieve<T = unknown>(key: string, read: RetrieveOptions = {}, options?: CallOptions): Promise<T | undefined> {
    try {
      return (await this.entry(key, read, options)).value as T;
    } catch (error) {
      if (error instanceof NotFoundError) return undefined;
      throw error;
    }
  }

  /** The whole entry; throws {@link NotFoundError} where there is none that may be read. */
  async entry(key: string, read: RetrieveOptions = {}, options?: CallOptions): Promise<MemoryEntry> {
    return this.#paths.get(this.#paths.entry(key), { ...read }, options);
  }

  /** Deletes an entry with its history. */
  async delete(
    key: string,
    conditions: { readonly ifVersion?: number | undefined; readonly lease?: MemoryLease | undefined } = {},
    options?: CallOptions,
  ): Promise<void> {
    const { ifVersion, lease } = conditions;
    const query = { ifVersion, allocationId: lease?.allocationId, fencingToken: lease?.fencingToken };
    const path = this.#paths.entry(key);
    await this.#paths.http.send({ method: 'DELETE', path, query: this.#paths.query(query), creates: true }, options);
  }

  /** All entries that match and may be read, at once; {@link entries} is for many. */
  async list(filter: MemoryFilter = {}, options?: CallOptions): Promise<MemoryEntry[]> {
    return collect(this.entries(filter, options));
  }

  /** Entries that match and may be read, page by page as they are consumed. */
  entries(filter: MemoryFilter = {}, options?: CallOptions): AsyncGenerator<MemoryEntry, void, undefined> {
    return this.#pages('/entries', { ...filter }, options);
  }

  /** Many operations in one call, each by itself. */
  async batch(
    operations: readonly (Exclude<MemoryOperation, { op: 'check' }> | { readonly op: 'get'; readonly key: string })[],
    options?: CallOptions,
  ): Promise<BatchResult<MemoryEntry | null>[]> {
    return batch(this.#paths, operations, options);
  }

  /** All operations or none of them; answers the version of each key. */
  async transaction(
    operations: readonly MemoryOperation[],
    options?: CallOptions & { readonly lease?: MemoryLease | undefined },
  ): Promise<readonly { readonly key: string; readonly version: number }[]> {
    const body = { operations, ...(options?.lease === undefined ? {} : { lease: options.lease }) };
    return (await this.#paths.post<{ versions: { key: string; version: number }[] }>('/transaction', body, options)).versions;
  }

  // Rights

  /** Sets level and lists as a whole. */
  async setPermissions(key: string, permissions: ACLPermissions, options?: CallOptions): Promise<void> {
    await this.#paths.put(this.#paths.entry(key, '/permissions'), permissions, options);
  }

  async getPermissions(key: string, options?: CallOptions): Promise<Required<ACLPermissions>> {
    return this.#paths.get(this.#paths.entry(key, '/permissions'), undefined, options);
  }

  // Versions

  /** The versions of an entry that may be read, oldest first. */
  async history(key: string, options?: CallOptions): Promise<MemoryVersion[]> {
    return collect(pages<MemoryVersion>(this.#paths.http, this.#paths.entry(key, '/history'), this.#paths.query(), options));
  }

  /** Makes an older version the present one again, as a new version. */
  async rollback(
    key: string,
    version: number,
    options?: CallOptions & { readonly ifVersion?: number | undefined; readonly lease?: MemoryLease | undefined },
  ): Promise<MemoryEntry> {
    const { ifVersion, lease } = options ?? {};
    return this.#paths.http.send(
      {
        method: 'POST',
        path: this.#paths.entry(key, '/rollback'),
        query: this.#paths.query(),
        body: { version, ...(ifVersion === undefined ? {} : { ifVersion }), ...(lease === undefined ? {} : { lease }) },
        creates: true,
      },
      options,
    );
  }

  // Finding

  /** Entries with all the words of `query`, best first. */
  async search(query: string, input: SearchInput = {}, options?: CallOptions): Promise<ScoredEntry[]> {
    return (await this.#paths.post<{ data: ScoredEntry[] }>('/search', { ...input, query }, options, { creates: false })).data;
  }

  /** Entries whose vectors are nearest by cosine, best first. */
  async nearest(vector: readonly number[], input: NearestInput = {}, options?: CallOptions): Promise<ScoredEntry[]> {
    const body = { ...input, vector };
    return (await this.#paths.post<{ data: ScoredEntry[] }>('/vectors/search', body, options, { creates: false })).data;
  }

  // Work together

  /** Claims paths, so that nobody else writes there; throws {@link InvalidStateError} where somebody does. */
  async claim(paths: string | readonly string[], input: ClaimOptions = {}, options?: CallOptions): Promise<MemoryClaim> {
    const body = { ...input, paths: typeof paths === 'string' ? [paths] : paths };
    return new MemoryClaim(this.#paths, await this.#paths.post<ClaimInfo>('/claims', body, options));
  }

  /** Live claims, all or those that meet a path. */
  async claims(path?: string, options?: CallOptions): Promise<ClaimInfo[]> {
    return collect(this.#pages<ClaimInfo>('/claims', { path }, options));
  }

  /** Votes on a task, as the agent whose token this is. */
  async vote(
    taskId: string,
    vote: { readonly confidence: number; readonly choice?: string; readonly reasoning?: string; readonly lease?: MemoryLease },
    options?: CallOptions,
  ): Promise<Consensus> {
    return this.#paths.post(`/consensus/${encodeURIComponent(taskId)}/votes`, vote, options);
  }

  async consensus(taskId: string, options?: CallOptions): Promise<Consensus> {
    return this.#paths.get(this.#paths.path(`/consensus/${encodeURIComponent(taskId)}`), undefined, options);
  }

  /** Records that a task waits for others. */
  async addDependencies(taskId: string, dependsOn: readonly string[], options?: CallOptions): Promise<void> {
    await this.#paths.post('/dependencies', { taskId, dependsOn }, options);
  }

  async dependencies(taskId?: string, options?: CallOptions): Promise<Dependency[]> {
    return collect(this.#pages<Dependency>('/dependencies', { taskId }, options));
  }

  // Artifacts

  /** Stores a result of up to 16 MiB. */
  async putArtifact(
    name: string,
    content: Uint8Array<ArrayBuffer>,
    input: ArtifactOptions = {},
    options?: CallOptions,
  ): Promise<Artifact> {
    return putArtifact(this.#paths, name, content, input, options);
  }

  /** The content of an artifact, checked against its digest. */
  async getArtifact(artifactId: string, options?: CallOptions): Promise<Uint8Array<ArrayBuffer>> {
    return getArtifact(this.#paths, artifactId, options);
  }

  async artifacts(
    filter: { readonly name?: string | undefined; readonly taskId?: string | undefined } = {},
    options?: CallOptions,
  ): Promise<Artifact[]> {
    return collect(this.#pages<Artifact>('/artifacts', { ...filter }, options));
  }

  async deleteArtifact(artifactId: string, options?: CallOptions): Promise<void> {
    await deleteArtifact(this.#paths, artifactId, options);
  }

  // Operating

  /** Hides what an agent wrote, or what was written under a lease; `release` ends it. */
  async quarantine(
    whose: ({ readonly agentId: string } | { readonly allocationId: string }) & {
      readonly release?: boolean | undefined;
      readonly reason?: string | undefined;
    },
    options?: CallOptions,
  ): Promise<Quarantined> {
    return this.#paths.post('/quarantine', whose, options);
  }

  /** Erases for good and answers a receipt: what was removed from which layer, and that nothing was found afterwards. */
  async erase(what: EraseRequest, options?: CallOptions): Promise<Erasure> {
    return this.#paths.post('/erase', what, options);
  }

  events(options?: CallOptions): AsyncGenerator<MemoryEvent, void, undefined> {
    return this.#pages('/events', {}, options);
  }

  conflicts(options?: CallOptions): AsyncGenerator<MemoryConflict, void, undefined> {
    return this.#pages('/conflicts', {}, options);
  }

  audit(options?: CallOptions): AsyncGenerator<MemoryAuditRow, void, undefined> {
    return this.#pages('/audit', {}, options);
  }

  async status(options?: CallOptions): Promise<MemoryStatus> {
    return this.#paths.get(this.#paths.path('/status'), undefined, options);
  }

  async getSettings(options?: CallOptions): Promise<MemorySettings> {
    return this.#paths.get(this.#paths.path('/settings'), undefined, options);
  }

  async putSettings(settings: MemorySettingsInput, options?: CallOptions): Promise<MemorySettings> {
    return this.#paths.put(this.#paths.path('/settings'), settings, options);
  }

  /** A standard SQLite file with what this token may read. A memory of several shards has a file for each, by `shard`. */
  async exportFile(options?: CallOptions & { readonly shard?: number | undefined }): Promise<Uint8Array<ArrayBuffer>> {
    const path = this.#paths.path('/export');
    const query = this.#paths.query({ shard: options?.shard });
    return this.#paths.http.send({ method: 'GET', path, query, wantsFile: true }, options);
  }

  /** Takes over the entries of such a file; the state before is kept as a restore point. */
  async importFile(
    bytes: Uint8Array<ArrayBuffer>,
    options?: CallOptions,
  ): Promise<{ readonly restorePoint: string; readonly entries: number; readonly skipped: number }> {
    return this.#paths.post('/import', undefined, options, { file: { bytes, type: 'application/vnd.sqlite3' } });
  }

  /** Goes back to the state before an import or a restore; answers the restore point of what was left. */
  async restore(restorePoint: string, options?: CallOptions): Promise<{ readonly restorePoint: string }> {
    return this.#paths.post('/restore', { restorePoint }, options);
  }

  #pages<T>(rest: string, filter: Query, options?: CallOptions): AsyncGenerator<T, void, undefined> {
    return pages<T>(this.#paths.http, this.#paths.path(rest), this.#paths.query(filter), options);
  }
}
