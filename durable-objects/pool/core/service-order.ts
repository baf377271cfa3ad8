import { MinHeap } from './min-heap.ts';
import { candidateOf, goesBefore, type Candidate, type DemandGroup, type QueueEntry, type WaitQueue } from './queue.ts';
import type { Shares } from './shares.ts';

/** A line of the queue: entries of one demand, priority and key, which leave it in order. */
interface Line {
  readonly group: DemandGroup;
  readonly at: (place: number) => QueueEntry | undefined;
  next: number;
  /** What the heap holds of this line; an older one is stale. */
  candidate: Candidate | undefined;
}

/**
 * The order in which what waits would be served if agents became free one after the other: the dispatcher's own rules, with
 * the shares charged on a copy. An entry that does not wait may be given, to be told where it would stand.
 */
export function* serviceOrder(
  groups: Iterable<DemandGroup>,
  shares: Shares,
  nowMs: number,
  newcomer: QueueEntry | null = null,
): Generator<QueueEntry> {
  const had = shares.copy();
  const heap = new MinHeap<{ readonly line: Line; readonly candidate: Candidate }>((a, b) =>
    goesBefore(a.candidate, b.candidate),
  );
  const byKey = new Map<string, Line[]>();
  const returned: Line[] = [];
  const renew = (line: Line): void => {
    const entry = line.at(line.next);
    line.candidate = entry === undefined ? undefined : candidateOf(entry, line.group, had, nowMs);
    if (line.candidate !== undefined) heap.push({ line, candidate: line.candidate });
  };
  const add = (group: DemandGroup, at: Line['at']): void => {
    const line: Line = { group, at, next: 0, candidate: undefined };
    const first = at(0);
    if (first === undefined) return;
    const key = `${first.priority}|${first.fairnessKey}`;
    if (first.started) returned.push(line);
    else byKey.set(key, [...(byKey.get(key) ?? []), line]);
    renew(line);
  };
  for (const group of groups) {
    for (const level of group.levels) {
      if (level === undefined) continue;
      add(group, (place) => level.returned.at(place));
      for (const flow of level.flows.values()) add(group, (place) => flow.at(place));
    }
  }
  if (newcomer !== null) {
    const group = { key: '', demand: newcomer.demand, levels: [], size: 1 };
    add(group, (place) => (place === 0 ? newcomer : undefined));
  }
  for (let top = heap.pop(); top !== undefined; top = heap.pop()) {
    const { line, candidate } = top;
    if (line.candidate !== candidate) continue;
    // Tags rise while others are served: the true one decides.
    if (had.tag(candidate.entry) !== candidate.tag) {
      renew(line);
      continue;
    }
    yield candidate.entry;
    const forgotten = had.charge(candidate.entry);
    line.next += 1;
    renew(line);
    // A key that is forgotten starts anew, which is the one case in which a tag falls.
    if (forgotten !== null) [...(byKey.get(`${candidate.entry.priority}|${forgotten}`) ?? []), ...returned].forEach(renew);
  }
}

/**
 * What would be served before an entry, which waits or might, of the groups it competes with; null when that is more than
 * `most`.
 */
export function servedBefore(
  queue: WaitQueue,
  entry: QueueEntry,
  competes: (group: DemandGroup) => boolean,
  { nowMs, most }: { readonly nowMs: number; readonly most: number },
): readonly QueueEntry[] | null {
  const groups = [...queue.groups()].filter((group) => group === queue.groupOf(entry.id) || competes(group));
  const before: QueueEntry[] = [];
  for (const next of serviceOrder(groups, queue.shares, nowMs, queue.has(entry.id) ? null : entry)) {
    if (next.id === entry.id) return before;
    if (before.push(next) > most) return null;
  }
  return null;
}
