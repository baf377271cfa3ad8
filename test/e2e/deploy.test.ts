import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = path.resolve(import.meta.dirname, '../..');

function deploy(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/deploy.ts', ...args], { cwd: ROOT, encoding: 'utf8' });
  return { status, text: stdout + stderr };
}

describe('npm run deploy', () => {
  it.each(['router', 'eu-west-1'])('builds %s without network or account and tells its size', (env) => {
    const { status, text } = deploy('--env', env, '--dry-run');
    expect(text).toContain('--dry-run: exiting now');
    expect(text).toMatch(/index\.js {2}[\d.]+ KiB raw, [\d.]+ KiB gzip/);
    expect(status).toBe(0);
    // What a Worker may weigh, compressed, on any plan.
    expect(Number(/index\.js .* ([\d.]+) KiB gzip/.exec(text)?.[1])).toBeLessThan(3 * 1024);
  });

  it('B200: the booster with all of its grammars is within the free plan’s size, and no other Worker carries them', () => {
    const { status, text } = deploy('--env', 'booster', '--dry-run');
    expect(status).toBe(0);
    expect(Number(/Total Upload: [\d.]+ KiB \/ gzip: ([\d.]+) KiB/.exec(text)?.[1])).toBeLessThan(3 * 1024);
    expect(text).toMatch(/all modules: [\d.]+ KiB raw, [\d.]+ KiB gzip/);
    for (const env of ['router', 'eu-west-1']) {
      const directory = path.join(ROOT, '.build/deploy', env);
      // A region carries the engine of its memory, and nothing else.
      const modules = readdirSync(directory).filter((name) => name.endsWith('.wasm'));
      expect(modules.filter((name) => !/-(?:dot|sql-wasm)\.wasm$/.test(name))).toEqual([]);
      expect(readFileSync(path.join(directory, 'index.js'), 'utf8')).not.toMatch(/createTreeSitter|_ts_parser_delete/);
    }
  });

  it('refuses an environment that does not exist, and none at all', () => {
    const unknown = deploy('--env', 'mars-1', '--dry-run');
    expect(unknown.status).toBe(1);
    expect(unknown.text).toContain("no environment 'mars-1'");
    expect(unknown.text).toContain('router, us-east-1');
    expect(deploy('--dry-run')).toMatchObject({ status: 1, text: expect.stringContaining('Which environment?') });
  });
});
