/** All parts of an engine as a Worker's bundler finds them. Node reads the same files in test/lib/booster.ts. */
import type { EngineParts } from './engine.ts';
import bash from './generated/bash.wasm';
import c from './generated/c.wasm';
import coreModule from './generated/core.wasm';
import cpp from './generated/cpp.wasm';
import csharp from './generated/csharp.wasm';
import css from './generated/css.wasm';
import go from './generated/go.wasm';
import html from './generated/html.wasm';
import java from './generated/java.wasm';
import javascript from './generated/javascript.wasm';
import json from './generated/json.wasm';
import php from './generated/php.wasm';
import python from './generated/python.wasm';
import ruby from './generated/ruby.wasm';
import rust from './generated/rust.wasm';
import { createTreeSitter } from './generated/tree-sitter.js';
import tsx from './generated/tsx.wasm';
import typescript from './generated/typescript.wasm';

export const ENGINE_PARTS: EngineParts = {
  createTreeSitter,
  coreModule,
  grammarModules: { bash, c, cpp, csharp, css, go, html, java, javascript, json, php, python, ruby, rust, tsx, typescript },
};
