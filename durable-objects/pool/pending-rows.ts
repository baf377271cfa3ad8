/** Characters of one parameter: far below the platform's 2 MB for a value, whatever they are in UTF-8. */
export const PARAMETER_CHARS_MAX = 500_000;

/**
 * Rows of one table, as JSON texts by key, that wait to be written into it, many in one statement (`json_each`): the way in
 * and out of the database is the larger part of what a statement costs.
 */
export class PendingRows {
  readonly #rows = new Map<string, string>();
  readonly #fresh = new Set<string>();

  get size(): number {
    return this.#rows.size;
  }

  /** A later row of the same key takes the place of the earlier one. */
  set(key: string, json: string): void {
    this.#rows.set(key, json);
    this.#fresh.add(key);
  }

  /** A row that is safe elsewhere already. */
  restore(key: string, json: string): void {
    this.#rows.set(key, json);
  }

  get(key: string): string | undefined {
    return this.#rows.get(key);
  }

  /** Rows set since this was last asked, or since `clear`. */
  takeFresh(): readonly string[] {
    const rows = [...this.#fresh].map((key) => this.#rows.get(key) as string);
    this.#fresh.clear();
    return rows;
  }

  /** Everything that waits, as JSON arrays. A row is never cut: one larger than a parameter goes alone. */
  arrays(): readonly string[] {
    const arrays: string[] = [];
    let part: string[] = [];
    let chars = 0;
    for (const row of this.#rows.values()) {
      if (chars + row.length > PARAMETER_CHARS_MAX && part.length > 0) {
        arrays.push(`[${part.join(',')}]`);
        part = [];
        chars = 0;
      }
      part.push(row);
      chars += row.length + 1;
    }
    if (part.length > 0) arrays.push(`[${part.join(',')}]`);
    return arrays;
  }

  clear(): void {
    this.#rows.clear();
    this.#fresh.clear();
  }
}
