/**
 * `node scripts/build-vectors.ts` writes `wasm/vectors/dot.wasm`: one function, assembled here by hand, as there is no tool
 * among our packages that could compile it. A test holds the file to what this script makes.
 *
 * `dot(query, rows, count, bytes, scores)`: for each of `count` rows of `bytes` signed bytes (a multiple of 16) the scalar
 * product with `query`, as a 32-bit integer. All five are addresses or numbers in the module's own memory.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const I32 = 0x7f;
const V128 = 0x7b;
const VOID_BLOCK = 0x40;
const FUNCTION = 0x60;
const MEMORY_EXPORT = 2;
const FUNCTION_EXPORT = 0;

function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const byte = rest & 127;
    rest >>>= 7;
    bytes.push(rest === 0 ? byte : byte | 128);
  } while (rest !== 0);
  return bytes;
}

/** Small non-negative constants only; bit 6 of the last byte would be taken as a sign. */
const constant = (value: number): number[] => [0x41, ...(value < 64 ? [value] : unsigned(value))];
const get = (local: number): number[] => [0x20, local];
const set = (local: number): number[] => [0x21, local];
const tee = (local: number): number[] => [0x22, local];
const simd = (operation: number, ...immediates: number[]): number[] => [0xfd, ...unsigned(operation), ...immediates];
const section = (id: number, content: readonly number[]): number[] => [id, ...unsigned(content.length), ...content];
const list = (items: readonly (readonly number[])[]): number[] => [...unsigned(items.length), ...items.flat()];
const text = (value: string): number[] => [...unsigned(value.length), ...Buffer.from(value)];

/** "\\0asm", version 1. */
const MAGIC = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
const ADD = [0x6a];
const LOAD = simd(0, 0, 0);
const ZERO = simd(12, ...Array.from({ length: 16 }, () => 0));
const MULTIPLY_LOW = simd(0x9c);
const MULTIPLY_HIGH = simd(0x9d);
const ADD_PAIRS = simd(0x7e);
const ADD_LANES = simd(0xae);
const lane = (index: number): number[] => simd(27, index);

/** Parameters, then locals. */
const [QUERY, ROWS, COUNT, BYTES, SCORES, ROW, AT, END, SUM] = [0, 1, 2, 3, 4, 5, 6, 7, 8];

const code = [
  // Locals: three addresses or counters, one vector.
  list([
    [3, I32],
    [1, V128],
  ]),
  [0x02, VOID_BLOCK, 0x03, VOID_BLOCK],
  // All rows done: leave.
  get(ROW),
  get(COUNT),
  [0x4e, 0x0d, 1],
  [ZERO, set(SUM), get(QUERY), set(AT), get(AT), get(BYTES), ADD, set(END)].flat(),
  [0x03, VOID_BLOCK],
  // Sixteen bytes of both: products of sixteen bits, added in pairs to four sums of thirty-two.
  [get(SUM), get(AT), LOAD, get(ROWS), LOAD, MULTIPLY_LOW, ADD_PAIRS, ADD_LANES].flat(),
  [get(AT), LOAD, get(ROWS), LOAD, MULTIPLY_HIGH, ADD_PAIRS, ADD_LANES, set(SUM)].flat(),
  [get(ROWS), constant(16), ADD, set(ROWS), get(AT), constant(16), ADD, tee(AT)].flat(),
  get(END),
  [0x49, 0x0d, 0, 0x0b],
  // The sum of the four sums is the score.
  [get(SCORES), get(SUM), lane(0), get(SUM), lane(1), ADD, get(SUM), lane(2), ADD, get(SUM), lane(3), ADD].flat(),
  [0x36, 2, 0],
  [get(SCORES), constant(4), ADD, set(SCORES), get(ROW), constant(1), ADD, set(ROW)].flat(),
  [0x0c, 0, 0x0b, 0x0b, 0x0b],
].flat();

/** The module's bytes; the same on every machine. */
export function buildDot(): Uint8Array {
  return new Uint8Array([
    ...MAGIC,
    ...section(1, list([[FUNCTION, 5, I32, I32, I32, I32, I32, 0]])),
    ...section(3, list([[0]])),
    ...section(5, list([[0, 1]])),
    ...section(
      7,
      list([
        [...text('memory'), MEMORY_EXPORT, 0],
        [...text('dot'), FUNCTION_EXPORT, 0],
      ]),
    ),
    ...section(10, list([[...unsigned(code.length), ...code]])),
  ]);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const file = path.resolve(import.meta.dirname, '../wasm/vectors/dot.wasm');
  writeFileSync(file, buildDot());
  console.log(`${file}: ${buildDot().length} bytes`);
}
