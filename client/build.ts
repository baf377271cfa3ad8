/**
 * Makes `client/dist`, the package as it is published: `npm publish client/dist`. In the checkout the package runs from
 * source, so this is only for publishing. Modules stay separate files: a bundler then drops the agent runner, and with it
 * the schemas, from a page that only calls the API.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import manifest from './package.json' with { type: 'json' };

const client = import.meta.dirname;
const root = path.dirname(client);
const dist = path.join(client, 'dist');
const into = (...parts: string[]): string => path.join(dist, ...parts);

rmSync(dist, { recursive: true, force: true });
mkdirSync(into('bin'), { recursive: true });
const compiler = path.join(root, 'node_modules/typescript/bin/tsc');
execFileSync(process.execPath, [compiler, '-p', path.join(client, 'tsconfig.build.json')], { stdio: 'inherit' });

copyFileSync(path.join(client, 'bin/fleet.mjs'), into('bin/fleet.mjs'));
chmodSync(into('bin/fleet.mjs'), 0o755);
copyFileSync(path.join(client, 'README.md'), into('README.md'));
copyFileSync(path.join(root, 'LICENSE'), into('LICENSE'));
const entry = './client/src/index';
const published = {
  ...manifest,
  main: `${entry}.js`,
  types: `${entry}.d.ts`,
  exports: { '.': { types: `${entry}.d.ts`, default: `${entry}.js` }, './package.json': './package.json' },
};
writeFileSync(into('package.json'), `${JSON.stringify(published, null, 2)}\n`);
process.stdout.write(`${dist}\n`);
