/** What the database says it holds. */
export interface Dump {
  readonly integrity: readonly { readonly integrity_check: string }[];
  readonly notes: readonly (readonly [key: string, value: string])[];
  readonly groups: readonly (readonly [id: string, members: number])[];
  /** Groups that the full-text index knows. */
  readonly words: number;
}

interface Key {
  /** Number of the newest acknowledged write. */
  acknowledged: number;
  /** Every number that was sent. */
  readonly sent: Set<number>;
}

/** What was sent and what was acknowledged, and the judgement of what is there. Values carry the number of their write. */
export class Ledger {
  readonly #members: number;
  readonly #keys = new Map<string, Key>();
  readonly #groups = new Map<string, boolean>();
  #next = 0;
  acknowledged = 0;

  constructor(members: number) {
    this.#members = members;
  }

  /** A key belongs to one writer, who waits for each answer: its writes have an order. */
  nextPut(key: string): { readonly key: string; readonly value: string; acknowledge(): void } {
    const number = ++this.#next;
    const known = this.#keys.get(key) ?? { acknowledged: 0, sent: new Set<number>() };
    this.#keys.set(key, known);
    known.sent.add(number);
    return {
      key,
      value: `plainvalue-${number}-`.padEnd(900, `${number}`),
      acknowledge: () => {
        this.acknowledged += 1;
        known.acknowledged = number;
      },
    };
  }

  nextGroup(): { readonly id: string; acknowledge(): void } {
    const id = `group-${++this.#next}`;
    this.#groups.set(id, false);
    return {
      id,
      acknowledge: () => {
        this.acknowledged += 1;
        this.#groups.set(id, true);
      },
    };
  }

  /** What is wrong, in words. */
  judge(dump: Dump): readonly string[] {
    const wrong: string[] = [];
    if (dump.integrity.length !== 1 || dump.integrity[0]?.integrity_check !== 'ok') {
      wrong.push(`integrity_check: ${JSON.stringify(dump.integrity).slice(0, 200)}`);
    }
    const notes = new Map(dump.notes);
    for (const [key, { acknowledged, sent }] of this.#keys) {
      const value = notes.get(key);
      if (value === undefined) {
        if (acknowledged > 0) wrong.push(`${key} is gone`);
        continue;
      }
      const number = Number(/^plainvalue-(\d+)-/.exec(value)?.[1]);
      if (!sent.has(number)) wrong.push(`${key} has a value that nobody sent`);
      else if (number < acknowledged) wrong.push(`${key} went back to write ${number}; ${acknowledged} was acknowledged`);
    }
    const groups = new Map(dump.groups);
    for (const [id, isAcknowledged] of this.#groups) {
      const members = groups.get(id) ?? 0;
      if (members !== 0 && members !== this.#members) wrong.push(`${id} is torn: ${members} of ${this.#members}`);
      if (isAcknowledged && members === 0) wrong.push(`${id} is gone`);
    }
    if (dump.words !== groups.size) wrong.push(`the full-text index knows ${dump.words} of ${groups.size} groups`);
    return wrong;
  }
}
