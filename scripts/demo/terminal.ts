import type { Colors } from '../../client/src/cli/output.ts';
import { Output } from '../../client/src/cli/output.ts';

const BAR_CHARS = 28;
/** Without a terminal a line this often is enough. */
const LINE_EVERY_MS = 1_000;

/** Where the demo talks: lines, and below them a bar that is redrawn in place, or lines now and then where it cannot be. */
export class Terminal {
  readonly #stream: NodeJS.WriteStream;
  readonly #output: Output;
  #bar = '';
  #saidAtMs = 0;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
    this.#output = new Output('table', stream.isTTY);
  }

  get colors(): Colors {
    return this.#output.colors;
  }

  line(text = ''): void {
    this.#stream.write(`${this.#erase()}${text}\n${this.#bar}`);
  }

  /** A name and what there is to say of it. */
  fact(name: string, text: string): void {
    this.line(`  ${this.colors.dim(name.padEnd(10))} ${text}`);
  }

  table(title: string, head: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
    if (rows.length === 0) return;
    const text = this.#output.table(head, rows);
    this.line(`\n${this.colors.bold(title)}\n${text.replaceAll(/^/gm, '  ')}`);
  }

  progress(name: string, done: number, total: number, note = ''): void {
    const share = total === 0 ? 1 : done / total;
    const text = `${String(done).padStart(String(total).length)}/${total} ${note}`;
    if (!this.#stream.isTTY) {
      const nowMs = Date.now();
      if (nowMs - this.#saidAtMs < LINE_EVERY_MS && done < total) return;
      this.#saidAtMs = nowMs;
      return this.line(`  ${name.padEnd(10)} ${String(Math.floor(share * 100)).padStart(3)} %  ${text}`);
    }
    const full = Math.round(share * BAR_CHARS);
    const { cyan, dim } = this.colors;
    const erase = this.#erase();
    this.#bar = `  ${dim(name.padEnd(10))} ${cyan('█'.repeat(full))}${dim('░'.repeat(BAR_CHARS - full))} ${text}`;
    this.#stream.write(erase + this.#bar);
  }

  endProgress(): void {
    this.#stream.write(this.#erase());
    this.#bar = '';
    this.#saidAtMs = 0;
  }

  #erase(): string {
    return this.#bar === '' ? '' : '\r\u001B[2K';
  }
}

export const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;

export function bytes(count: number): string {
  if (count < 1_024) return `${count} B`;
  return count < 1_048_576 ? `${(count / 1_024).toFixed(1)} KiB` : `${(count / 1_048_576).toFixed(1)} MiB`;
}

export const plural = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`;
