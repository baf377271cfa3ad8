import { readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
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
    createTreeSitter: () => TreeSitter;
  };
  return {
    createTreeSitter: runtime.createTreeSitter,
    coreModule: moduleOf('core'),
    grammarModules: Object.fromEntries(languages.map((language) => [language, moduleOf(language)])),
  };
}

/** A new engine with all languages. */
export const newEngine = async (): Promise<Engine> => createEngine(await engineParts());
