/** What a result cache may hold. */
export interface CacheBounds {
  readonly entries: number;
  /** Characters of all answers together. */
  readonly chars: number;
}

interface Entry {
  readonly text: string;
}

/**
 * Answers by the hash of what was asked. They are kept as text, so that nobody's change to an answer shows in the next one.
 * The one not used for longest goes first.
 */
export class ResultCache {
  readonly #bounds: CacheBounds;
  readonly #entries = new Map<string, Entry>();
  #chars = 0;

  constructor(bounds: CacheBounds) {
    this.#bounds = bounds;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): unknown {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return JSON.parse(entry.text);
  }

  set(key: string, value: object): void {
    const text = JSON.stringify(value);
    if (text.length > this.#bounds.chars || this.#bounds.entries < 1) return;
    this.#drop(key);
    this.#entries.set(key, { text });
    this.#chars += text.length;
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#bounds.entries && this.#chars <= this.#bounds.chars) return;
      this.#drop(oldest);
    }
  }

  clear(): void {
    this.#entries.clear();
    this.#chars = 0;
  }

  #drop(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#chars -= entry.text.length;
  }
}

const encoder = new TextEncoder();

/** SHA-256 over the fields in a fixed order: what is equal has equal hashes, however its fields were written. */
export async function hashOf(fields: Readonly<Record<string, unknown>>): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', encoder.encode(canonical(fields)));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join(',')}}`;
}
