/** The last bytes of a stream, whatever its length. */
export class TailBuffer {
  readonly #limit: number;
  #kept = Buffer.alloc(0);

  constructor(limitBytes: number) {
    this.#limit = limitBytes;
  }

  push(part: Buffer): void {
    const whole = Buffer.concat([this.#kept, part.subarray(-this.#limit)]);
    this.#kept = whole.subarray(-this.#limit);
  }

  text(): string {
    return this.#kept.toString('utf8').trim();
  }
}
