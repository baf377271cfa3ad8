import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { unstable_readConfig as readConfig } from 'wrangler';
import { REGIONS } from '../../../regions/table.ts';

const FILE = path.resolve(import.meta.dirname, '../../../wrangler.toml');
/** The part of Wrangler's answer that is looked at; its own type is not complete in the published declarations. */
interface Config {
  readonly name?: string;
  readonly main?: string;
  readonly compatibility_date?: string;
  readonly compatibility_flags: readonly string[];
  readonly observability?: { readonly enabled?: boolean };
  readonly placement?: unknown;
  readonly workers_dev?: boolean;
  readonly routes?: readonly unknown[];
  readonly vars: Readonly<Record<string, unknown>>;
  readonly services?: readonly unknown[];
  readonly assets?: unknown;
  readonly definedEnvironments?: readonly string[];
  readonly durable_objects: { readonly bindings: readonly { readonly class_name: string; readonly script_name?: string }[] };
  readonly migrations: readonly { readonly tag: string; readonly new_sqlite_classes?: readonly string[] }[];
}
const read = (env?: string): Config =>
  readConfig({ config: FILE, ...(env === undefined ? {} : { env }) }, { hideWarnings: true });
const bindingOf = (region: string): string => region.toUpperCase().replaceAll('-', '_');

const router = read('router');
const booster = read('booster');
const regions = REGIONS.map((region) => ({ region, config: read(region.id) }));

describe('wrangler.toml', () => {
  it('has one environment for the router, one for the booster and one for each region of the table', () => {
    expect(new Set(router.definedEnvironments)).toEqual(new Set(['router', 'booster', ...REGIONS.map((region) => region.id)]));
  });

  it('uses one compatibility date and observability everywhere, and no compatibility flag but the router’s one', () => {
    for (const config of [router, booster, ...regions.map((entry) => entry.config)]) {
      expect(config.compatibility_date).toBe('2026-10-15');
      expect(config.compatibility_flags).toEqual(config === router ? ['enable_request_signal'] : []);
      expect(config.observability?.enabled).toBe(true);
    }
  });

  it('gives every migration tag once, and never deletes or renames a class', () => {
    for (const config of [router, ...regions.map((entry) => entry.config)]) {
      const tags = config.migrations.map((migration) => migration.tag);
      expect(new Set(tags).size).toBe(tags.length);
      for (const migration of config.migrations) {
        expect(Object.keys(migration).sort()).toEqual(['new_sqlite_classes', 'tag']);
      }
    }
  });

  it('has no secret in the clear', () => {
    for (const config of [read(), router, ...regions.map((entry) => entry.config)]) {
      for (const name of Object.keys(config.vars)) expect(name).not.toMatch(/KEY|SECRET|TOKEN|PASSWORD/);
    }
  });
});

describe.each(regions)('environment $region.id', ({ region, config }) => {
  it('agrees with the region table', () => {
    expect(config.name).toBe(`fleet-${region.id}`);
    expect(config.placement).toEqual({ region: region.placement });
    expect(config.vars).toMatchObject({
      REGION: region.id,
      JURISDICTION: region.jurisdiction ?? '',
      LOCATION_HINT: region.locationHint,
      APPLY_JURISDICTION: 'true',
    });
  });

  it('declares the same vars, objects and migrations as the other regions', () => {
    const first = regions[0]?.config;
    expect(Object.keys(config.vars)).toEqual(Object.keys(first?.vars ?? {}));
    expect(config.durable_objects).toEqual(first?.durable_objects);
    expect(config.migrations).toEqual(first?.migrations);
    expect(config.main).toBe(first?.main);
  });

  it('is reached through the router alone', () => {
    expect(config.workers_dev).toBe(false);
    expect(config.routes ?? []).toEqual([]);
  });

  it('is bound to its own objects, and to no other Worker than the booster', () => {
    expect(config.services).toEqual([{ binding: 'BOOSTER', service: 'fleet-booster', entrypoint: 'BoosterEntry' }]);
    for (const binding of config.durable_objects.bindings) expect(binding.script_name).toBeUndefined();
  });

  it('creates every class it binds', () => {
    const created = config.migrations.flatMap((migration) => migration.new_sqlite_classes ?? []);
    expect(new Set(config.durable_objects.bindings.map((binding) => binding.class_name))).toEqual(new Set(created));
  });
});

describe('environment router', () => {
  it('is bound to the entry point of every region, in the order of the table', () => {
    expect(router.services).toEqual(
      REGIONS.map((region) => ({ binding: bindingOf(region.id), service: `fleet-${region.id}`, entrypoint: 'RegionEntry' })),
    );
    expect(router.vars['REGIONS']).toBe(REGIONS.map((region) => region.id).join(','));
  });

  it('is bound to no object of a region', () => {
    expect(router.durable_objects.bindings.map((binding) => binding.class_name)).toEqual(['FleetObject']);
  });

  it('answers for its files itself', () => {
    expect(router.assets).toMatchObject({ binding: 'ASSETS', run_worker_first: true });
  });
});

describe('environment booster', () => {
  it('B200: keeps nothing and is reached by nobody but the regions', () => {
    expect(booster.name).toBe('fleet-booster');
    expect(booster.workers_dev).toBe(false);
    expect(booster.routes ?? []).toEqual([]);
    expect(booster.services ?? []).toEqual([]);
    expect(booster.durable_objects.bindings).toEqual([]);
    expect(booster.vars).toEqual({});
    // With a placement it would run there, and not where the region that calls it is.
    expect(booster.placement).toBeUndefined();
  });
});
