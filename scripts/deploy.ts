/**
 * `npm run deploy -- --env <name> [--dry-run]`: one environment of `wrangler.toml` at a time. Further arguments go to
 * `wrangler deploy` as they are. A dry run needs neither network nor account, and tells what would be uploaded.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { buildAssets, PUBLIC_DIR } from './build-assets.ts';
import { buildBooster } from './build-booster.ts';
import { ROOT } from './checks.ts';
import { environmentNames } from './local/wrangler-config.ts';

const known = environmentNames();

const { values, positionals, tokens } = parseArgs({
  options: { env: { type: 'string' }, 'dry-run': { type: 'boolean', default: false } },
  strict: false,
  allowPositionals: true,
  tokens: true,
});

function refuse(message: string): never {
  console.error(`${message}\nEnvironments: ${known.join(', ')}\nUsage: npm run deploy -- --env <name> [--dry-run]`);
  process.exit(1);
}

const { env } = values;
if (typeof env !== 'string' || env === '') refuse('Which environment?');
if (!known.includes(env)) refuse(`There is no environment '${env}' in wrangler.toml.`);
if (positionals.length > 0) refuse(`Not understood: ${positionals.join(' ')}`);

const extra = tokens.flatMap((token) =>
  token.kind === 'option' && token.name !== 'env' && token.name !== 'dry-run'
    ? [token.value === undefined ? token.rawName : `${token.rawName}=${token.value}`]
    : [],
);
const dryRun = values['dry-run'] === true;
const outDir = path.join(ROOT, '.build/deploy', env);

buildAssets();
if (env === 'booster') buildBooster();
rmSync(outDir, { recursive: true, force: true });
mkdirSync(outDir, { recursive: true });
const result = spawnSync(
  process.execPath,
  [
    path.join(ROOT, 'node_modules/wrangler/bin/wrangler.js'),
    'deploy',
    '--env',
    env,
    '--minify',
    ...(dryRun ? ['--dry-run', '--outdir', outDir] : []),
    ...extra,
  ],
  { cwd: ROOT, stdio: 'inherit', env: { ...process.env, WRANGLER_SEND_METRICS: 'false' } },
);
if (result.status !== 0) process.exit(result.status ?? 1);
if (dryRun) {
  console.log(`\nBundle of ${env}:`);
  report(outDir, (name) => !name.endsWith('.map') && name !== 'README.md');
  if (env === 'router') {
    console.log('Static files:');
    report(PUBLIC_DIR, () => true);
  }
}

function report(directory: string, wanted: (name: string) => boolean): void {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((f) => f.isFile() && wanted(f.name));
  const kib = (count: number): string => `${(count / 1024).toFixed(1)} KiB`;
  let [raw, packed] = [0, 0];
  for (const file of files) {
    const bytes = readFileSync(path.join(file.parentPath, file.name));
    const gzip = gzipSync(bytes).length;
    raw += bytes.length;
    packed += gzip;
    console.log(`  ${file.name}  ${kib(bytes.length)} raw, ${kib(gzip)} gzip`);
  }
  if (files.length > 1) console.log(`  all modules: ${kib(raw)} raw, ${kib(packed)} gzip`);
}
