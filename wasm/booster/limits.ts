/** Bounds of the booster. Lengths are UTF-16 units, which JavaScript counts for nothing; a byte is never less than a third of one. */

/** Pathological input costs about 200 times its size in memory, and memory is never given back: 200 KB of it made 40 MB. */
export const SOURCE_MAX_LENGTH = 256 * 1024;

/** Original and edit together. */
export const APPLY_MAX_LENGTH = 400 * 1024;

/**
 * Progress callbacks one parse may take; there is one for about every 63 units of ordinary code, so the largest source
 * needs about 4,200. A deadline would not do: production clocks stand still while code runs.
 */
export const PARSE_BUDGET_CALLBACKS = 20_000;

/**
 * What an instance may have grown to while it parses. Ordinary code of the largest size needs 10 MB; hostile code made 2 GB of
 * it within the budget of callbacks. One instance at this and three at their recycle cap fit into an isolate's 128 MB.
 */
export const PARSE_MEMORY_MAX_BYTES = 48 * 1024 * 1024;

/** Nodes of one snapshot; ordinary code has about one for every two units at its densest. */
export const SNAPSHOT_MAX_NODES = 1_000_000;

/** What an engine may grow to before its pool replaces it: memory never shrinks. */
export const ENGINE_RECYCLE_MEMORY_BYTES = 24 * 1024 * 1024;

/** Operations after which its pool replaces an engine whatever its size. */
export const ENGINE_RECYCLE_OPERATIONS = 5_000;
