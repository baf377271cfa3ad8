/** What scripts/build-booster.ts changes in WebAssembly files. Section numbers are those of the core specification, 5.5. */

const IMPORTS = 2;
const DATA = 11;
const GLOBAL_GET = 0x23;
const END = 0x0b;

/** Reads a module from a place in it. */
class Reader {
  readonly bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at = 8 /* magic and version */) {
    this.bytes = bytes;
    this.at = at;
  }

  byte(): number {
    return this.bytes[this.at++] ?? 0;
  }

  /** LEB128. */
  unsigned(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte();
      value |= (byte & 127) << shift;
      if (byte < 128) return value >>> 0;
    }
  }

  name(): string {
    const length = this.unsigned();
    const text = new TextDecoder().decode(this.bytes.subarray(this.at, this.at + length));
    this.at += length;
    return text;
  }

  /** Where its minimum stands. */
  limits(): { readonly minimumAt: number; readonly length: number } {
    const flags = this.unsigned();
    const minimumAt = this.at;
    this.unsigned();
    const length = this.at - minimumAt;
    if ((flags & 1) !== 0) this.unsigned();
    return { minimumAt, length };
  }
}

interface Section {
  readonly id: number;
  /** Of its number, its content, and the end of that. */
  readonly from: number;
  readonly start: number;
  readonly end: number;
}

function sectionOf(bytes: Uint8Array, wanted: number): Section {
  const reader = new Reader(bytes);
  while (reader.at < bytes.length) {
    const from = reader.at;
    const id = reader.byte();
    const size = reader.unsigned();
    const section = { id, from, start: reader.at, end: reader.at + size };
    if (id === wanted) return section;
    reader.at = section.end;
  }
  throw new Error(`no section ${wanted}`);
}

interface Import {
  readonly name: string;
  readonly kind: 'function' | 'table' | 'memory' | 'global';
  readonly limits: { readonly minimumAt: number; readonly length: number } | null;
}

function importsOf(bytes: Uint8Array): Import[] {
  const reader = new Reader(bytes, sectionOf(bytes, IMPORTS).start);
  return Array.from({ length: reader.unsigned() }, (): Import => {
    reader.name();
    const name = reader.name();
    const kind = reader.byte();
    if (kind === 0) {
      reader.unsigned();
      return { name, kind: 'function', limits: null };
    }
    if (kind === 1) {
      reader.byte();
      return { name, kind: 'table', limits: reader.limits() };
    }
    if (kind === 2) return { name, kind: 'memory', limits: reader.limits() };
    if (kind !== 3) throw new Error(`import ${name} of unknown kind ${kind}`);
    reader.at += 2;
    return { name, kind: 'global', limits: null };
  });
}

/** Lowers the minimum of the imported memory, keeping the length of its LEB128 number by padding. */
export function withMemoryMinimum(wasm: Uint8Array, pages: number): Uint8Array {
  const memory = importsOf(wasm).find(({ kind }) => kind === 'memory');
  if (memory?.limits == null) throw new Error('no memory is imported');
  const bytes = Uint8Array.from(wasm);
  const { minimumAt, length } = memory.limits;
  let left = pages;
  for (let index = 0; index < length; index += 1) {
    bytes[minimumAt + index] = (left & 127) | (index < length - 1 ? 128 : 0);
    left >>= 7;
  }
  if (left !== 0) throw new Error('the minimum does not fit');
  return bytes;
}

/**
 * A side module without its data, and the data, which is nine tenths of a grammar: the tables of the parser. The one
 * segment stays, empty, because other sections count it. The loader has to put the tables where it would have stood,
 * at `__memory_base`, before it applies relocations.
 */
export function withoutTables(wasm: Uint8Array): { readonly code: Uint8Array; readonly tables: Uint8Array } {
  const section = sectionOf(wasm, DATA);
  const globals = importsOf(wasm).filter(({ kind }) => kind === 'global');
  const reader = new Reader(wasm, section.start);
  const [count, mode, opcode] = [reader.unsigned(), reader.unsigned(), reader.byte()];
  const global = reader.unsigned();
  if (count !== 1 || mode !== 0 || opcode !== GLOBAL_GET || reader.byte() !== END || globals[global]?.name !== '__memory_base') {
    throw new Error('a grammar is expected to have one data segment, at __memory_base');
  }
  if (global > 127) throw new Error('the number of a global is expected to fit one byte');
  const length = reader.unsigned();
  const tables = wasm.subarray(reader.at, reader.at + length);
  if (reader.at + length !== section.end) throw new Error('a data segment is expected to end its section');
  const empty = [1, 0, GLOBAL_GET, global, END, 0];
  return {
    code: Buffer.concat([
      wasm.subarray(0, section.from),
      Uint8Array.of(DATA, empty.length, ...empty),
      wasm.subarray(section.end),
    ]),
    tables,
  };
}
