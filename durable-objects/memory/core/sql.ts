/** What a memory's code uses of its database: sealed pages in the object, another SQLite in Node's tests. */
export type SqlValue = ArrayBuffer | string | number | null;
export type Row = Record<string, SqlValue>;

export interface Sql {
  exec<T extends Row>(query: string, ...bindings: SqlValue[]): { toArray(): T[]; readonly rowsWritten: number };
}

/** A piece of a statement with what it binds, so that pieces can be put together without counting question marks. */
export interface Fragment {
  readonly text: string;
  readonly values: readonly SqlValue[];
}

/** A statement or a piece of one; every value is bound, never written into the text. */
export function sql(strings: TemplateStringsArray, ...parts: readonly (SqlValue | Fragment)[]): Fragment {
  let text = strings[0] ?? '';
  const values: SqlValue[] = [];
  for (const [i, part] of parts.entries()) {
    if (isFragment(part)) {
      text += part.text;
      values.push(...part.values);
    } else {
      text += '?';
      values.push(part);
    }
    text += strings[i + 1] ?? '';
  }
  return { text, values };
}

const isFragment = (part: SqlValue | Fragment): part is Fragment =>
  typeof part === 'object' && part !== null && 'text' in part && 'values' in part;

/** Text of our own, such as a column's name. Never anything from outside. */
export const raw = (text: string): Fragment => ({ text, values: [] });

export function join(fragments: readonly Fragment[], separator: string): Fragment {
  return { text: fragments.map(({ text }) => text).join(separator), values: fragments.flatMap(({ values }) => values) };
}

export const rows = <T extends Row>(db: Sql, { text, values }: Fragment): T[] => db.exec<T>(text, ...values).toArray();

// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller says what its row holds, as with `rows`
export const first = <T extends Row>(db: Sql, statement: Fragment): T | null => rows<T>(db, statement)[0] ?? null;

/** Runs a statement and answers how many rows it changed. */
export const run = (db: Sql, { text, values }: Fragment): number => db.exec(text, ...values).rowsWritten;
