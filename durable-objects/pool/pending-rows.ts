/** Characters of one parameter: far below the platform's 2 MB for a value, whatever they are in UTF-8. */
const PARAMETER_CHARS_MAX = 500_000;

/**
 * Rows of one table, as JSON texts by key, that wait for the end of the transaction. SQLite then takes them in one statement
 * (`json_each`), which costs a third of one statement for each: the way in and out of the database is the larger part.
 */
export class PendingRows {
  readonly #rows = new Map<string, string>();

  /** A later row of the same key takes the place of the earlier one. */
  set(key: string, json: string): void {
    this.#rows.set(key, json);
  }

  get(key: string): string | undefined {
    return this.#rows.get(key);
  }

  delete(key: string): void {
    this.#rows.delete(key);
  }

  /** Hands out what waits, as JSON arrays of rows, and keeps nothing. A row is never cut: one larger than a parameter goes alone. */
  drain(): readonly string[] {
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
    this.#rows.clear();
    return arrays;
  }
}
