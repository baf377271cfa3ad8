import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Plugin } from 'esbuild';
import type { Response, V4WorkerOptions } from 'miniflare';
import type { RegionId } from '../../regions/table.ts';
import { PUBLIC_DIR } from '../build-assets.ts';
import { bundleWorkers } from './bundle.ts';
import { type Environment, readEnvironments } from './wrangler-config.ts';

export const ROUTER_NAME = 'fleet-router';
/** Booster Workers of the local fleet: a deployment has as many isolates as the platform sees fit. */
export const BOOSTERS = 3;

/** What differs between the local fleet and a deployment. */
export interface LocalSettings {
  readonly regions: readonly RegionId[];
  /** 0: any free one. */
  readonly port: number;
  /** The private key set; the router alone gets it. */
  readonly signingKeys: string;
  /** The secrets of one region's memory; that region alone gets them. */
  readonly memoryKeys: (region: RegionId) => string;
  /** Variables with other values than in `wrangler.toml`; each Worker gets those that it declares there. */
  readonly vars: Readonly<Record<string, string>>;
  /** Booster Workers that the regions share; default `BOOSTERS`. With none, booster work is refused as unavailable. */
  readonly boosters?: number | undefined;
  /** For the bundler. */
  readonly plugins?: readonly Plugin[] | undefined;
}

/**
 * The Workers of the local fleet: the router, the selected regions and three boosters that these share, as `wrangler.toml`
 * declares them. Regions that were not selected are absent, not merely unused, so that a fleet of one region is what it says.
 */
export async function localWorkers(settings: LocalSettings): Promise<V4WorkerOptions[]> {
  const environments = readEnvironments();
  const environment = (name: string): Environment => {
    const found = environments.get(name);
    if (found === undefined) throw new Error(`wrangler.toml has no environment '${name}'`);
    return found;
  };
  const router = environment('router');
  const regions = settings.regions.map((id) => ({ id, region: environment(id) }));

  const booster = environment('booster');

  const entries = [
    ...new Set(
      [router, ...(settings.boosters === 0 ? [] : [booster]), ...regions.map(({ region }) => region)].map((entry) => entry.main),
    ),
  ];
  const bundles = await bundleWorkers(entries, settings.plugins);
  const modulesOf = new Map(entries.map((entry, index) => [entry, bundles[index]]));

  const worker = (entry: Environment, bindings: Readonly<Record<string, string>>): V4WorkerOptions => ({
    name: entry.name,
    modules: [...(modulesOf.get(entry.main) ?? [])],
    compatibilityDate: entry.compatibilityDate,
    compatibilityFlags: entry.compatibility_flags,
    // The local runtime has no jurisdictions and throws when asked for one.
    bindings: {
      ...entry.vars,
      ...Object.fromEntries(Object.entries(settings.vars).filter(([name]) => Object.hasOwn(entry.vars, name))),
      APPLY_JURISDICTION: 'false',
      LOCAL: 'true',
      ...bindings,
    },
    durableObjects: Object.fromEntries(
      (entry.durable_objects?.bindings ?? []).map(({ name, class_name }) => [
        name,
        { className: class_name, useSQLite: entry.migrations.some((m) => m.new_sqlite_classes.includes(class_name)) },
      ]),
    ),
  });

  const boosterNames = Array.from({ length: settings.boosters ?? BOOSTERS }, (_, i) =>
    i === 0 ? booster.name : `${booster.name}-${i + 1}`,
  );
  const present = new Set(regions.map(({ region }) => region.name));
  return [
    {
      ...worker(router, { REGIONS: settings.regions.join(','), FLEET_SIGNING_KEYS: settings.signingKeys }),
      serviceBindings: {
        ...Object.fromEntries(
          router.services
            .filter((service) => present.has(service.service))
            .map(({ binding, service, entrypoint }) => [binding, { name: service, ...(entrypoint && { entrypoint }) }]),
        ),
        // Declared as assets, Miniflare would put a proxy before every request of the router.
        ...(router.assets && { [router.assets.binding]: serveAsset }),
      },
      unsafeDirectSockets: [{ host: '127.0.0.1', port: settings.port }],
    },
    ...regions.map(({ id, region }) => ({
      ...worker(region, { MEMORY_KEYS: settings.memoryKeys(id) }),
      serviceBindings: Object.fromEntries(
        region.services.flatMap(({ binding, service, entrypoint }) =>
          boosterNames.map((name, i) => [
            i === 0 ? binding : `${binding}_${i + 1}`,
            { name: service === booster.name ? name : service, ...(entrypoint && { entrypoint }) },
          ]),
        ),
      ),
    })),
    ...boosterNames.map((name) => ({ ...worker(booster, {}), name })),
  ];
}

const TYPES: Readonly<Record<string, string>> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
};

/** The router's `ASSETS` binding, from `.build/public`, which is read at each request so that a rebuild shows. */
async function serveAsset(request: { readonly url: string; readonly method: string }): Promise<Response> {
  const { Response } = await import('miniflare');
  if (request.method !== 'GET' && request.method !== 'HEAD') return new Response(null, { status: 405 });
  try {
    // A URL cannot climb above its root, but an encoded slash could once decoded.
    const file = path.join(PUBLIC_DIR, decodeURIComponent(new URL(request.url).pathname));
    if (!file.startsWith(PUBLIC_DIR + path.sep)) return new Response(null, { status: 404 });
    const headers = { 'content-type': TYPES[path.extname(file)] ?? 'application/octet-stream' };
    return new Response(readFileSync(file), { headers });
  } catch {
    return new Response(null, { status: 404 });
  }
}
