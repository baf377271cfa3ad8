/** A changed stretch: lines `from … to - 1` of the old text became lines `newFrom … newTo - 1` of the new one. */
export interface Change {
  readonly from: number;
  readonly to: number;
  readonly newFrom: number;
  readonly newTo: number;
}

/** The changed stretches between two texts by Myers' greedy algorithm; null past `most` changed lines. */
export function changesOf(before: readonly string[], after: readonly string[], most = 400): Change[] | null {
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head += 1;
  let tail = 0;
  while (
    tail < before.length - head &&
    tail < after.length - head &&
    before[before.length - 1 - tail] === after[after.length - 1 - tail]
  ) {
    tail += 1;
  }
  const old = before.slice(head, before.length - tail);
  const fresh = after.slice(head, after.length - tail);
  const limit = Math.min(most, old.length + fresh.length);
  const trace: Int32Array[] = [];
  const furthest = new Int32Array(2 * limit + 3);
  for (let cost = 0; cost <= limit; cost += 1) {
    trace.push(furthest.slice());
    for (let diagonal = -cost; diagonal <= cost; diagonal += 2) {
      const at = diagonal + limit + 1;
      const down = diagonal === -cost || (diagonal !== cost && (furthest[at - 1] ?? 0) < (furthest[at + 1] ?? 0));
      let x = down ? (furthest[at + 1] ?? 0) : (furthest[at - 1] ?? 0) + 1;
      while (x < old.length && x - diagonal < fresh.length && old[x] === fresh[x - diagonal]) x += 1;
      furthest[at] = x;
      if (x >= old.length && x - diagonal >= fresh.length) return backtrack(trace, old.length, fresh.length, limit, head);
    }
  }
  return null;
}

function backtrack(trace: readonly Int32Array[], oldCount: number, newCount: number, limit: number, head: number): Change[] {
  const changes: { from: number; to: number; newFrom: number; newTo: number }[] = [];
  let x = oldCount;
  let y = newCount;
  for (let cost = trace.length - 1; cost > 0; cost -= 1) {
    const furthest = trace[cost];
    const diagonal = x - y;
    const at = diagonal + limit + 1;
    const down = diagonal === -cost || (diagonal !== cost && (furthest?.[at - 1] ?? 0) < (furthest?.[at + 1] ?? 0));
    const previousDiagonal = down ? diagonal + 1 : diagonal - 1;
    const previousX = furthest?.[previousDiagonal + limit + 1] ?? 0;
    const previousY = previousX - previousDiagonal;
    const [fromX, fromY] = [previousX, previousY];
    const [toX, toY] = down ? [previousX, previousY + 1] : [previousX + 1, previousY];
    const last = changes[0];
    if (last !== undefined && last.from === toX + head && last.newFrom === toY + head) {
      last.from = fromX + head;
      last.newFrom = fromY + head;
    } else changes.unshift({ from: fromX + head, to: toX + head, newFrom: fromY + head, newTo: toY + head });
    [x, y] = [previousX, previousY];
  }
  return changes;
}
