/**
 * Every bound of the system, with its name. Units are in the names; the reason stands beside the number.
 */
export const LIMITS = {
  /** Request body. Above: 413. Payload and result share it, so a row stays under the platform's 2 MB row limit. */
  bodyBytes: 1_048_576,
  /** Nesting of any JSON in a body: recursion in serialisers must not be reachable from outside. */
  jsonDepth: 64,
  payloadBytes: 1_048_576,
  resultBytes: 1_048_576,
  checkpointBytes: 262_144,
  progressBytes: 16_384,
  metadataBytes: 16_384,
  errorChars: 8_192,
  capabilities: 64,
  labels: 64,
  swarms: 16,
  nameChars: 128,
  slots: 1_000,
  gangCount: 64,
  selectors: 8,

  pageDefault: 100,
  pageMax: 1_000,
  agentBatch: 1_000,
  allocationBatch: 256,
  taskBatch: 256,

  leaseMsMin: 1_000,
  leaseMsMax: 3_600_000,
  leaseMsDefault: 30_000,
  /** Lease of a dispatched task; the object extends it while the agent is alive. */
  dispatchLeaseMs: 15_000,
  /** A dispatched task nobody accepted: the agent beats but does not work, so the task moves on. */
  acceptTimeoutMs: 30_000,
  waitMsMax: 30_000,
  taskTimeoutMsDefault: 300_000,
  taskTimeoutMsMax: 86_400_000,
  taskDelayMsMax: 2_592_000_000,
  maxAttempts: 100,
  priorityMin: 1,
  priorityMax: 10,
  priorityDefault: 5,
  /** Waiting this long lifts queued work by one priority: nothing waits behind newer work for ever. */
  ageingStepMs: 60_000,

  heartbeatIntervalMs: 5_000,
  suspectAfterMs: 7_500,
  lostAfterMs: 15_000,
  /** After a wake the stored last-seen may be this old before the agent is taken as suspect until it beats. */
  staleAfterWakeMs: 60_000,
  /** Last-seen is stored with a commit, at most this often: a beat is not worth an fsync. */
  lastSeenStoreMs: 30_000,
  /** A closed socket may come back within this time and keep its leases. */
  sessionGraceMs: 5_000,
  /**
   * Agents that lose their sockets together come back spread over this time for each of them, up to the maximum: an opening
   * costs some milliseconds, and others are served meanwhile. Idle ones may take longer than their grace and lose nothing.
   */
  reconnectMsPerAgent: 10,
  reconnectWithinMsMax: 10_000,
  /** Agents without leases are re-judged by one sweep this often; an idle fleet stays asleep. */
  sweepIntervalMs: 300_000,
  /** A lost agent is kept this long so that it can be seen, then removed. */
  offlineRetentionMs: 3_600_000,
  /** While something waits, siblings with free agents are asked this often: an idle one helps within a second. */
  borrowEveryMs: 500,
  /** An offered agent is kept free for its borrower this long. */
  loanOfferMs: 3_000,
  /** Loans of one question: payloads of 1 MiB travel with them, and a call may carry 32 MiB. */
  loanBatch: 16,
  /** A lender tells the home of its loans this often, and gives them up when it got no answer for `loanSilentMs`. */
  loanBeatMs: 5_000,
  /** Less than `lostAfterMs`, after which the home gives a silent lender's tasks to others. */
  loanSilentMs: 12_500,
  /** A confirmation or a return that was not answered is sent again. */
  loanRetryMs: 500,
  drainDeadlineMs: 300_000,
  cancelGraceMs: 10_000,

  /** Ids that one revocation may name, of each kind. */
  revokeIds: 1_000,
  /** Leases (and agents put into quarantine) that one step of a revocation takes: bounds the length of a transaction. */
  revokeStep: 1_000,
  /** How long a revocation waits for acknowledgements unless told otherwise: a beat of an agent, and a little. */
  revokeWaitMsDefault: 6_000,
  /** A revocation that nobody goes on with is ended by the shard itself after this time. */
  revokeResumeMs: 2_000,
  /** Agents that the answer to a revocation names; the counts are of all. */
  revokeAgentsListed: 5_000,
  /** The last revocations that a shard remembers. */
  revocationsPerShard: 1_000,

  /** Queued tasks and waiting allocations of one shard. Above: 429 `queue_full`. */
  queuePerShard: 100_000,
  /** Parked long polls of one shard. Above: 503 `overloaded`. */
  waitersPerShard: 10_000,

  resultTtlMsDefault: 86_400_000,
  resultTtlMsMax: 2_592_000_000,
  endedTasksPerShard: 100_000,
  allocationRetentionMs: 86_400_000,
  endedAllocationsPerShard: 200_000,
  idempotencyTtlMs: 86_400_000,
  idempotencyPerShard: 1_000_000,
  idempotencyKeyChars: 255,
  /** Rows of each kind that one pruning step removes, in some milliseconds; the alarm comes back for more after a rest. */
  pruneStep: 1_000,
  pruneRestMs: 50,

  /** Registry counters follow an acknowledged change within 500 ms; this leaves room for two tries. */
  summaryDelayMs: 100,
  /** Counters that a crash kept back are reported so long after the change: setting an alarm and its coming cost a write each. */
  summaryAlarmMs: 2_000,

  tokenTtlMsDefault: 86_400_000,
  tokenTtlMsMax: 7_776_000_000,
  agentTokenTtlMs: 86_400_000,
  tokensPerFleet: 10_000,
  /** A revoked token is refused everywhere within this time. */
  revocationDelayMs: 5_000,
  /** Requests of one token in one router isolate: some twice what an isolate can serve. RATE_LIMIT_PER_SECOND sets another. */
  rateLimitPerSecond: 20_000,
  /** A token that was idle may use this many seconds' worth at once. */
  rateLimitBurstSeconds: 2,

  /** Body of the booster's routes: a batch carries its files. */
  boosterBodyBytes: 16_777_216,
  /** Files of one batch. */
  boosterBatch: 1_000,
  /** One text of an operation, in UTF-16 units. Hostile text of this size takes some 40 MB to parse, and a megabyte five times that. */
  boosterFileChars: 262_144,
  /** All texts of one operation together. */
  boosterTaskChars: 409_600,
  /** Files of one call to a booster Worker, and their characters: a call must end long before its timeout. */
  boosterFilesPerCall: 100,
  boosterCharsPerCall: 2_097_152,
  /** What the caller of a booster Worker waits for one call. A timer inside could not fire while WebAssembly runs. */
  boosterTimeoutMs: 30_000,
  /** Engine instances of one isolate: four at their cap leave room for code and files in an isolate's 128 MB. */
  boosterSlots: 4,
  /** WebAssembly memory never shrinks: an instance above this is replaced. */
  boosterSlotBytes: 25_165_824,
  /** An instance that has done this many operations is replaced, whatever its size. */
  boosterSlotOperations: 5_000,
  /** A slot nobody used for this long is given up, all but one. */
  boosterSlotIdleMs: 60_000,
  /** Source characters (and operations) a call may work through before it lets others have a turn. */
  boosterQuantumChars: 65_536,
  boosterQuantumOperations: 16,
  /** Fleets whose operations an isolate counts apart; beyond, the one not seen for longest is forgotten. */
  boosterFleetsCounted: 256,
  /** Latest durations kept of each fleet and operation, for percentiles. */
  boosterSamples: 256,
  customPoolsPerFleet: 256,
  poolAgentsMax: 100_000,
  shardsMax: 64,
} as const;
