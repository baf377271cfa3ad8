import path from 'node:path';
import { build, stop, type Plugin } from 'esbuild';
import { ROOT } from '../checks.ts';

/** One module of a Worker, as Miniflare takes it. */
export interface WorkerModule {
  readonly type: 'ESModule' | 'CompiledWasm' | 'Data';
  readonly path: string;
  readonly contents: Uint8Array<ArrayBuffer>;
}

/**
 * Bundles Worker entry files the way a deployment does: same resolution, WebAssembly as modules of its own. Nothing is
 * written to disk. The bundler's service process is stopped afterwards, so that the fleet leaves no child behind.
 * `plugins` are for tests that must run something else than the sources say.
 */
export async function bundleWorkers(
  entries: readonly string[],
  plugins: readonly Plugin[] = [],
): Promise<readonly (readonly WorkerModule[])[]> {
  try {
    return await Promise.all(entries.map((entry) => bundle(entry, plugins)));
  } finally {
    await stop();
  }
}

async function bundle(entry: string, plugins: readonly Plugin[]): Promise<readonly WorkerModule[]> {
  const result = await build({
    entryPoints: [path.join(ROOT, entry)],
    absWorkingDir: ROOT,
    outdir: path.join(ROOT, '.build/local'),
    write: false,
    bundle: true,
    format: 'esm',
    target: 'es2024',
    conditions: ['workerd', 'worker', 'browser'],
    external: ['cloudflare:*', 'node:*'],
    loader: { '.wasm': 'copy', '.bin': 'copy' },
    assetNames: '[name]-[hash]',
    define: { 'process.env.NODE_ENV': '"production"', 'navigator.userAgent': '"Cloudflare-Workers"' },
    logLevel: 'warning',
    // The booster's runtime has two, for C code with JavaScript in it; there is none, and a Worker could not run them.
    logOverride: { 'direct-eval': 'silent' },
    plugins: [...plugins],
  });
  const modules = result.outputFiles.map((file): WorkerModule => ({
    type: file.path.endsWith('.wasm') ? 'CompiledWasm' : file.path.endsWith('.bin') ? 'Data' : 'ESModule',
    path: path.basename(file.path),
    contents: new Uint8Array(file.contents),
  }));
  // The first module is the Worker's main one.
  return modules.toSorted((a, b) => Number(a.type !== 'ESModule') - Number(b.type !== 'ESModule'));
}
