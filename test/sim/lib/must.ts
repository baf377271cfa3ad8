/** Something that must never happen has happened. */
export class Violation extends Error {
  override readonly name = 'Violation';
}
export function must(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Violation(what);
}
