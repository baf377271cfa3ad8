/** A row of an entry, as it lies in the database or comes over HTTP. */
export interface Found {
  readonly value: unknown;
  readonly version: number;
}

/** What one key may be: what was acknowledged last, or what has been sent since and is not answered. */
interface Key {
  acknowledged: Found | null;
  open: Found | null | undefined;
}

/** A key belongs to one writer, who sends a write again under its idempotency key until it is answered. */
export class FleetLedger {
  readonly #keys = new Map<string, Key>();
  #next = 0;
  acknowledged = 0;

  number(): number {
    return ++this.#next;
  }

  /** Null: the key is deleted. */
  send(key: string, value: Found | null): void {
    const known = this.#keys.get(key) ?? { acknowledged: null, open: undefined };
    this.#keys.set(key, known);
    known.open = value;
  }

  acknowledge(key: string): void {
    const known = this.#keys.get(key);
    if (known?.open === undefined) throw new Error(`nothing is open for ${key}`);
    known.acknowledged = known.open;
    known.open = undefined;
    this.acknowledged += 1;
  }

  /** What would be right at this moment; it does not change with what is acknowledged later. */
  snapshot(): ReadonlyMap<string, Readonly<Key>> {
    return new Map([...this.#keys].map(([key, known]) => [key, { ...known }]));
  }
}

const same = (a: Found | null, b: Found | null): boolean =>
  a === null || b === null ? a === b : a.version === b.version && JSON.stringify(a.value) === JSON.stringify(b.value);

/** What is wrong, in words. */
export function judgeEntries(
  expected: ReadonlyMap<string, Readonly<Key>>,
  found: ReadonlyMap<string, Found>,
  groupOf: (key: string) => string | null,
): readonly string[] {
  const wrong: string[] = [];
  const groups = new Map<string, Set<boolean>>();
  for (const [key, { acknowledged, open }] of expected) {
    const there = found.get(key) ?? null;
    const isOpen = open !== undefined && same(there, open);
    if (!isOpen && !same(there, acknowledged)) {
      const said = (one: Found | null): string => (one === null ? 'nothing' : `version ${one.version}`);
      wrong.push(`${key} is ${said(there)}; ${said(acknowledged)} was acknowledged`);
    }
    const group = groupOf(key);
    if (group !== null) groups.set(group, (groups.get(group) ?? new Set()).add(there !== null));
  }
  for (const [group, is] of groups) if (is.size > 1) wrong.push(`${group} is torn`);
  for (const key of found.keys()) if (!expected.has(key)) wrong.push(`${key} was written by nobody`);
  return wrong;
}
