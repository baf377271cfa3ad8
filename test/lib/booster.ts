import { readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { buildBooster, GENERATED_DIR } from '../../scripts/build-booster.ts';
import { createEngine, type Engine, type EngineParts } from '../../wasm/booster/engine.ts';
import { LANGUAGE_IDS, type LanguageId } from '../../wasm/booster/languages.ts';
import type { TreeSitter } from '../../wasm/booster/tree-sitter.ts';

const moduleOf = (name: string): WebAssembly.Module =>
  new (WebAssembly as unknown as { Module: new (bytes: Uint8Array) => WebAssembly.Module }).Module(
    readFileSync(path.join(GENERATED_DIR, `${name}.wasm`)),
  );

let parts: Promise<EngineParts> | null = null;

/** The parts of an engine in Node, compiled once per process; builds the generated folder if it is stale. */
export function engineParts(languages: readonly LanguageId[] = LANGUAGE_IDS): Promise<EngineParts> {
  parts ??= load(languages);
  return parts;
}

async function load(languages: readonly LanguageId[]): Promise<EngineParts> {
  buildBooster();
  const runtime = (await import(/* @vite-ignore */ pathToFileURL(path.join(GENERATED_DIR, 'tree-sitter.js')).href)) as {
    createTreeSitter: (tablesOf: (module: WebAssembly.Module) => Uint8Array) => TreeSitter;
  };
  const modules = new Map(languages.map((language) => [moduleOf(language), language]));
  const tables = new Map<WebAssembly.Module, Uint8Array>();
  const tablesOf = (module: WebAssembly.Module): Uint8Array => {
    const known = tables.get(module) ?? gunzipSync(readFileSync(path.join(GENERATED_DIR, `${modules.get(module)}.bin`)));
    tables.set(module, known);
    return known;
  };
  return {
    createTreeSitter: () => runtime.createTreeSitter(tablesOf),
    coreModule: moduleOf('core'),
    grammarModules: Object.fromEntries([...modules].map(([module, language]) => [language, module])),
  };
}

/** A new engine with all languages. */
export const newEngine = async (): Promise<Engine> => createEngine(await engineParts());
