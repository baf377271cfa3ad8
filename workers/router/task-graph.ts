/** What the plan needs to know of a batch item; null for one that was refused already. */
export interface GraphItem {
  /** Its name within the batch. */
  readonly ref: string | undefined;
  /** Ids of tasks, and names of items of this batch. */
  readonly dependsOn: readonly string[];
  /** Whether the item says itself where it goes. */
  readonly placed: boolean;
}

export interface Plan {
  /** Items by the round in which they can be submitted: what an item needs is in earlier rounds. */
  readonly rounds: readonly (readonly number[])[];
  /** What each item needs of this batch, by name. */
  readonly needs: readonly ReadonlyMap<string, number>[];
  /** The item whose region an item goes to, since dependencies stay within one region; null where it is free. */
  readonly follows: readonly (number | null)[];
  readonly refused: ReadonlyMap<number, { readonly path: string; readonly message: string }>;
}

/**
 * Plans a batch whose items name each other: a graph without cycles, in rounds. Items that cannot be submitted are refused
 * by themselves with the reason, a cycle with its names; what needs one of them is refused too. Linear in items and edges.
 */
export function planGraph(items: readonly (GraphItem | null)[]): Plan {
  const refused = new Map<number, { readonly path: string; readonly message: string }>();
  const byRef = namesOf(items, refused);
  const needs = items.map((item) => {
    const named = new Map<string, number>();
    for (const name of item?.dependsOn ?? []) {
      const index = byRef.get(name);
      if (index !== undefined) named.set(name, index);
    }
    return named;
  });
  const nameOf = (index: number): string => items[index]?.ref ?? `#${index}`;

  const round: number[] = Array.from({ length: items.length }, () => -1);
  const visiting: number[] = [];
  /** The round of an item; null when it cannot be submitted. Depth first, as deep as the batch is long at most. */
  const visit = (index: number): number | null => {
    if (items[index] === null || refused.has(index)) return null;
    const known = round[index] ?? -1;
    if (known >= 0) return known;
    if (visiting.includes(index)) {
      const cycle = [...visiting.slice(visiting.indexOf(index)), index].map(nameOf).join(' → ');
      for (const member of visiting.slice(visiting.indexOf(index))) {
        refused.set(member, { path: 'dependsOn', message: `is part of a cycle: ${cycle}` });
      }
      return null;
    }
    visiting.push(index);
    let own = 0;
    for (const [name, needed] of needs[index] ?? []) {
      const before = visit(needed);
      if (before !== null) own = Math.max(own, before + 1);
      else if (!refused.has(index)) refused.set(index, { path: 'dependsOn', message: `needs '${name}', which was refused` });
    }
    visiting.pop();
    if (refused.has(index)) return null;
    round[index] = own;
    return own;
  };
  for (const index of items.keys()) visit(index);

  const follows = leadersOf(items, needs, round);
  const shift = follows.some((leader) => leader !== null) ? 1 : 0;
  const rounds: number[][] = [];
  for (const [index, own] of round.entries()) {
    if (own < 0) continue;
    // Roots that follow another one wait for it, and everything that needs anything comes after them.
    const at = own === 0 && follows[index] === null ? 0 : own + shift;
    (rounds[at] ??= []).push(index);
  }
  return { rounds: rounds.filter((part) => part !== undefined), needs, follows, refused };
}

function namesOf(
  items: readonly (GraphItem | null)[],
  refused: Map<number, { readonly path: string; readonly message: string }>,
): ReadonlyMap<string, number> {
  const byRef = new Map<string, number>();
  for (const [index, item] of items.entries()) {
    if (item?.ref === undefined) continue;
    if (byRef.has(item.ref)) refused.set(index, { path: 'ref', message: `'${item.ref}' names an earlier item of this batch` });
    else byRef.set(item.ref, index);
  }
  return byRef;
}

/** Of each connected part, the roots go where its first root went, unless they say themselves where to go. */
function leadersOf(
  items: readonly (GraphItem | null)[],
  needs: readonly ReadonlyMap<string, number>[],
  round: readonly number[],
): readonly (number | null)[] {
  const parent = items.map((_, index) => index);
  const find = (index: number): number => {
    let root = index;
    while (parent[root] !== root) root = parent[root] as number;
    parent[index] = root;
    return root;
  };
  for (const [index, named] of needs.entries()) for (const needed of named.values()) parent[find(index)] = find(needed);
  const leader = new Map<number, number>();
  return items.map((item, index) => {
    if (round[index] !== 0) return null;
    const part = find(index);
    const first = leader.get(part);
    if (first === undefined) leader.set(part, index);
    return first === undefined || item?.placed === true ? null : first;
  });
}
