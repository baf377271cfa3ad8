import type { Why } from '../../shared/schemas/why.ts';

/** What several shards say of one request, as if one had been asked: agents and failed predicates add up. */
export function mergeWhys(whys: readonly Why[]): Why | undefined {
  // A limit stands in the way only if it does everywhere.
  const last = whys.findLast(({ limitedBy }) => limitedBy === undefined) ?? whys.at(-1);
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

/** What several regions say, nearest first: the agents of all, in one sentence that is true of all. */
export function whyAcrossRegions(whys: readonly Why[]): Why | undefined {
  const merged = mergeWhys(whys.toReversed());
  if (merged === undefined || whys.length === 1) return merged;
  const { eligible, agents, failed } = merged;
  const reasons = failed.length === 0 ? '' : `: ${failed.map((f) => `${f.agents} fail ${f.predicate}`).join(', ')}`;
  return { ...merged, detail: `In ${whys.length} regions ${eligible} of ${agents} agents could take this now${reasons}.` };
}
