/** All parts of an engine as a Worker's bundler finds them. Node reads the same files in test/lib/booster.ts. */
import type { EngineParts } from './engine.ts';
import bash from './generated/bash.wasm';
import bashTables from './generated/bash.bin';
import c from './generated/c.wasm';
import cTables from './generated/c.bin';
import cpp from './generated/cpp.wasm';
import cppTables from './generated/cpp.bin';
import csharp from './generated/csharp.wasm';
import csharpTables from './generated/csharp.bin';
import css from './generated/css.wasm';
import cssTables from './generated/css.bin';
import go from './generated/go.wasm';
import goTables from './generated/go.bin';
import html from './generated/html.wasm';
import htmlTables from './generated/html.bin';
import java from './generated/java.wasm';
import javaTables from './generated/java.bin';
import javascript from './generated/javascript.wasm';
import javascriptTables from './generated/javascript.bin';
import json from './generated/json.wasm';
import jsonTables from './generated/json.bin';
import php from './generated/php.wasm';
import phpTables from './generated/php.bin';
import python from './generated/python.wasm';
import pythonTables from './generated/python.bin';
import ruby from './generated/ruby.wasm';
import rubyTables from './generated/ruby.bin';
import rust from './generated/rust.wasm';
import rustTables from './generated/rust.bin';
import tsx from './generated/tsx.wasm';
import tsxTables from './generated/tsx.bin';
import typescript from './generated/typescript.wasm';
import typescriptTables from './generated/typescript.bin';
import coreModule from './generated/core.wasm';
import { createTreeSitter } from './generated/tree-sitter.js';
import type { LanguageId } from './languages.ts';
import { inflate, Tables } from './tables.ts';

const MODULES: Readonly<Record<LanguageId, WebAssembly.Module>> = {
  bash,
  c,
  cpp,
  csharp,
  css,
  go,
  html,
  java,
  javascript,
  json,
  php,
  python,
  ruby,
  rust,
  tsx,
  typescript,
};

/** Compressed: most isolates never read most languages. */
const TABLES: Readonly<Record<LanguageId, ArrayBuffer>> = {
  bash: bashTables,
  c: cTables,
  cpp: cppTables,
  csharp: csharpTables,
  css: cssTables,
  go: goTables,
  html: htmlTables,
  java: javaTables,
  javascript: javascriptTables,
  json: jsonTables,
  php: phpTables,
  python: pythonTables,
  ruby: rubyTables,
  rust: rustTables,
  tsx: tsxTables,
  typescript: typescriptTables,
};

/** Of the isolate: one copy serves all of its instances. */
const tables = new Tables((language) => inflate(TABLES[language]), MODULES);

export const ENGINE_PARTS: EngineParts = {
  createTreeSitter: () => createTreeSitter((module) => tables.of(module)),
  coreModule,
  grammarModules: MODULES,
};

/** Makes languages ready for engines of these parts; null if they are. Must have been awaited before one is used. */
export const loadLanguages = (languages: readonly LanguageId[]): Promise<unknown> | null => tables.load(languages);
