import { readFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { withoutTables } from '../../../scripts/booster-wasm.ts';
import { ROOT } from '../../../scripts/checks.ts';
import { inflate, Tables } from '../../../wasm/booster/tables.ts';
import type { LanguageId } from '../../../wasm/booster/languages.ts';

const grammar = readFileSync(path.join(ROOT, 'node_modules/@vscode/tree-sitter-wasm/wasm/tree-sitter-go.wasm'));
const compile = (bytes: Uint8Array): WebAssembly.Module =>
  new (WebAssembly as unknown as { Module: new (bytes: Uint8Array) => WebAssembly.Module }).Module(bytes);

describe('the tables of a grammar', () => {
  it('B7: leave a module that is valid and much smaller, and nothing of them is lost', () => {
    const { code, tables } = withoutTables(grammar);
    expect(code.length + tables.length).toBeGreaterThan(grammar.length - 16);
    expect(code.length).toBeLessThan(grammar.length / 5);
    expect(grammar.includes(Buffer.from(tables))).toBe(true);
    expect(WebAssembly.Module.exports(compile(code))).toEqual(WebAssembly.Module.exports(compile(grammar)));
  });

  it('B7: a module that is not as expected stops the build', () => {
    expect(() => withoutTables(withoutTables(grammar).code.subarray(0, 40))).toThrow('no section 11');
    const damaged = Uint8Array.from(grammar);
    const { tables } = withoutTables(grammar);
    // The opcode that says where the segment goes stands a few bytes before it.
    const at = grammar.indexOf(Buffer.from(tables)) - 1;
    for (let back = 0; back < 12; back += 1) if (damaged[at - back] === 0x23) damaged[at - back] = 0x41;
    expect(() => withoutTables(damaged)).toThrow('one data segment');
  });

  it('B7: are read once, with the first task in the language, and asked for earlier they are a fault', async () => {
    const { code, tables } = withoutTables(grammar);
    const module = compile(code);
    const file = Uint8Array.from(gzipSync(tables)).buffer;
    const reads: LanguageId[] = [];
    const known = new Tables(
      (language) => {
        reads.push(language);
        return inflate(file);
      },
      { go: module } as Record<LanguageId, WebAssembly.Module>,
    );
    expect(() => known.of(module)).toThrow('not loaded');
    await known.load(['go']);
    expect(Buffer.from(known.of(module)).equals(tables)).toBe(true);
    expect(known.load(['go'])).toBeNull();
    expect(reads).toEqual(['go']);
  });
});
