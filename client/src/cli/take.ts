/** The first `limit` items, and whether there are more. */
export async function take<T>(items: AsyncIterable<T>, limit: number): Promise<{ readonly data: T[]; readonly more: boolean }> {
  const data: T[] = [];
  for await (const item of items) {
    if (data.length >= limit) return { data, more: true };
    data.push(item);
  }
  return { data, more: false };
}
