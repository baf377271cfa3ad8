/** Every bound of agent memory, with its name. Units are in the names; the reason stands beside the number. */
export const MEMORY_LIMITS = {
  keyBytes: 512,
  /** As the request body: a value and what surrounds it share one row of the database. */
  valueBytes: 1_048_576,
  tags: 32,
  tagChars: 64,
  vectorDimensions: 2_048,
  ttlMsMin: 1,
  ttlMsMax: 31_536_000_000,
  /** Ids in one list of a key's permissions. */
  permissionIds: 256,
  batch: 256,
  /** Values of one page; a page that would be larger ends early and goes on with its cursor. */
  pageBytes: 4_194_304,
  /** Values that one search reads, one after the other; beyond it says that there may be more. */
  searchBytes: 33_554_432,
  /** Values that one batch answers: its reply must fit the memory of a Worker, and what one message between Workers may hold. */
  batchBytes: 8_388_608,

  /** Objects of one swarm in one region: 64 of them hold 64 million entries. */
  shards: 64,
  entriesPerShard: 1_000_000,
  /** Values of one shard, history not counted. The platform's database ends at 10 GB, and sealed pages are somewhat larger. */
  bytesPerShard: 4_294_967_296,
  /** The whole database, history, indexes and artifacts included. */
  databaseBytes: 8_589_934_592,

  /** Older versions of one key: so many, and so many bytes. */
  versions: 32,
  versionBytes: 4_194_304,
  /** A deleted key goes on counting its versions for so long, so that an old version number never fits again. */
  tombstoneMs: 86_400_000,
  /** Deleted keys that are remembered one by one; of more, one version number that is above all of theirs. */
  tombstones: 50_000,

  events: 10_000,
  audit: 50_000,
  /** Details of one audit row; of longer lists only their lengths are kept. */
  auditDetailChars: 4_096,
  conflicts: 10_000,
  tasks: 20_000,
  agents: 20_000,
  dependencies: 20_000,
  dependenciesPerTask: 64,
  votesPerTask: 1_000,
  votes: 100_000,
  /** Votes, decisions and edges of a task that nothing was done about for so long are taken away: 30 days. */
  workMs: 2_592_000_000,
  /** Minutes of metrics kept. */
  metricMinutes: 1_440,
  /** Rows that one step of the sweep removes; the alarm comes back for more. */
  sweepStep: 500,
  /** Not sooner than this again: a busy loop must not come of a clock that was set back. */
  sweepPauseMs: 1_000,
  /** How often what only has to be bounded is looked at. */
  upkeepMs: 60_000,

  globChars: 256,
  globWildcards: 16,
  globAlternatives: 64,
  claimPaths: 32,
  claims: 1_000,
  claimLeaseMsDefault: 60_000,

  artifactBytes: 16_777_216,
  artifactChunkBytes: 524_288,
  artifacts: 10_000,
  artifactsBytes: 1_073_741_824,

  idempotencyTtlMs: 86_400_000,
  idempotencyKeys: 100_000,
  /** A larger answer is not kept: the repeat is told that it was done. */
  idempotencyAnswerBytes: 262_144,

  searchTerms: 16,
  searchResults: 100,
  /** Entries outside of any text index that one search looks through. */
  searchScan: 10_000,
  /** Distinct words of one entry that its index holds. */
  indexedTerms: 2_000,
  /** An entry with a longer word, such as an image in base64, is in no index: the word would lie in it as a whole. */
  indexedTermChars: 128,
  textIndexPrefixes: 32,
  vectorResults: 100,

  /** A lease is asked after again at the pool when the last word on it is this old: the longest time a lost notice can cost. */
  leaseCheckMs: 5_000,

  cacheTtlMs: 30_000,
  sharedCacheTtlMs: 300_000,
  maxStaleMsMax: 30_000,
  importBytes: 16_777_216,
} as const;
