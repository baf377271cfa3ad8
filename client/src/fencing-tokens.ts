/** Grants one manager remembers; the oldest are forgotten, their leases ended long before. */
const REMEMBERED_MAX = 100_000;

/** Fencing tokens of a manager's own grants, so that releasing needs only the allocation's id. */
export class FencingTokens {
  readonly #byAllocation = new Map<string, number>();

  set(allocationId: string, token: number): void {
    this.#byAllocation.set(allocationId, token);
    if (this.#byAllocation.size <= REMEMBERED_MAX) return;
    for (const oldest of this.#byAllocation.keys()) {
      this.#byAllocation.delete(oldest);
      return;
    }
  }

  get(allocationId: string): number | undefined {
    return this.#byAllocation.get(allocationId);
  }

  delete(allocationId: string): void {
    this.#byAllocation.delete(allocationId);
  }
}
