import type { Why } from '../../shared/schemas/why.ts';

/** What several shards say of one request, as if one had been asked: agents and failed predicates add up. */
export function mergeWhys(whys: readonly Why[]): Why | undefined {
  const last = whys.at(-1);
  if (last === undefined || whys.length === 1) return last;
  const failed = new Map<string, number>();
  for (const why of whys) {
    for (const { predicate, agents } of why.failed) failed.set(predicate, (failed.get(predicate) ?? 0) + agents);
  }
  const sum = (read: (why: Why) => number): number => whys.reduce((total, why) => total + read(why), 0);
  // Position and detail are those of the shard where the request stands or was refused last.
  return {
    ...last,
    agents: sum((why) => why.agents),
    eligible: sum((why) => why.eligible),
    failed: [...failed].map(([predicate, agents]) => ({ predicate, agents })),
  };
}
