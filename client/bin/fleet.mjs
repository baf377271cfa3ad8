#!/usr/bin/env node
/**
 * Starts the command line. In a published package it is built; in a checkout it runs from source, which Node does by
 * itself from 22.18 on. An older Node gets a bundle, made at first use and again whenever a source file is newer.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import * as nodeModule from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const source = path.join(root, 'src', 'cli', 'main.ts');
const built = path.join(root, 'client', 'src', 'cli', 'main.js');
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

async function entry() {
  if (!existsSync(source)) return built;
  if (major > 22 || (major === 22 && minor >= 18)) return source;
  return bundle();
}

/** Names the bundle by what it was made from, so that a stale one is never used and two starts do not disturb each other. */
async function bundle() {
  const folders = [path.join(root, 'src'), path.join(path.dirname(root), 'shared')];
  const stamp = createHash('sha256');
  for (const folder of folders) {
    for (const file of readdirSync(folder, { recursive: true }).sort()) {
      stamp.update(`${file}:${statSync(path.join(folder, file)).mtimeMs}\n`);
    }
  }
  const cache = path.join(path.dirname(root), 'node_modules', '.cache', 'fleet');
  const file = path.join(cache, `cli-${stamp.digest('hex').slice(0, 16)}.mjs`);
  if (existsSync(file)) return file;
  const { build } = await import('esbuild');
  const result = await build({
    entryPoints: [source],
    bundle: true,
    write: false,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    keepNames: true,
    packages: 'external',
    logLevel: 'error',
  });
  mkdirSync(cache, { recursive: true });
  for (const old of readdirSync(cache)) if (old.startsWith('cli-')) rmSync(path.join(cache, old), { force: true });
  const temporary = `${file}.${process.pid}`;
  writeFileSync(temporary, result.outputFiles[0].contents);
  renameSync(temporary, file);
  return file;
}

// Halves the start: compiled code is kept from one run to the next.
nodeModule.enableCompileCache?.();
const { main } = await import(pathToFileURL(await entry()).href);
await main(process.argv);
