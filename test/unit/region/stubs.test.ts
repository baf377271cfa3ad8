import { describe, expect, it } from 'vitest';
import { REGIONS } from '../../../regions/table.ts';
import type { RegionEnv } from '../../../durable-objects/env.ts';
import { assertOwnObject, ownRegion, type RegionVars } from '../../../durable-objects/lib/own-region.ts';
import { poolStub, registryStub } from '../../../durable-objects/stubs.ts';

const VARS: RegionVars = { REGION: 'eu-west-1', JURISDICTION: 'eu', LOCATION_HINT: 'weur', APPLY_JURISDICTION: 'false' };
const varsOf = (id: string): RegionVars => {
  const region = REGIONS.find((candidate) => candidate.id === id);
  if (region === undefined) throw new Error(id);
  return { REGION: id, JURISDICTION: region.jurisdiction ?? '', LOCATION_HINT: region.locationHint, APPLY_JURISDICTION: 'true' };
};

/** A namespace that answers with what it was asked. */
function namespaces(vars: RegionVars): { env: RegionEnv; asked: unknown[] } {
  const asked: unknown[] = [];
  const namespace = (jurisdiction: string | null) => ({
    idFromName: (name: string) => ({ name, jurisdiction }),
    get: (id: object, options: unknown) => {
      asked.push({ ...id, options });
      return {};
    },
    jurisdiction: (value: string) => namespace(value),
  });
  return { env: { ...vars, POOL: namespace(null), REGISTRY: namespace(null) } as unknown as RegionEnv, asked };
}

describe('names of objects', () => {
  it('carry the region, and the region’s wish of a place', () => {
    const { env, asked } = namespaces(VARS);
    poolStub(env, 'acme', { region: 'eu-west-1', pool: 'coder', shard: 3 });
    registryStub(env, 'acme', 'eu-west-1');
    expect(asked).toEqual([
      { name: 'eu-west-1/acme/coder/3', jurisdiction: null, options: { locationHint: 'weur' } },
      { name: 'eu-west-1/acme', jurisdiction: null, options: { locationHint: 'weur' } },
    ]);
  });

  it('are looked up in the region’s jurisdiction where deployments apply it', () => {
    for (const region of REGIONS) {
      const { env, asked } = namespaces(varsOf(region.id));
      registryStub(env, 'acme', region.id);
      expect(asked).toMatchObject([{ name: `${region.id}/acme`, jurisdiction: region.jurisdiction }]);
    }
  });

  it('become ids once, and keep apart what is named alike in two namespaces', () => {
    const { env, asked } = namespaces(varsOf('eu-west-1'));
    for (const shard of [0, 1, 0]) poolStub(env, 'acme', { region: 'eu-west-1', pool: 'coder', shard });
    const other = namespaces(VARS);
    poolStub(other.env, 'acme', { region: 'eu-west-1', pool: 'coder', shard: 0 });
    expect([...asked, ...other.asked]).toMatchObject([
      { name: 'eu-west-1/acme/coder/0', jurisdiction: 'eu' },
      { name: 'eu-west-1/acme/coder/1', jurisdiction: 'eu' },
      { name: 'eu-west-1/acme/coder/0', jurisdiction: 'eu' },
      { name: 'eu-west-1/acme/coder/0', jurisdiction: null },
    ]);
  });

  it('of another region, or that are no names, are refused', () => {
    const { env, asked } = namespaces(VARS);
    expect(() => registryStub(env, 'acme', 'eu-central-1')).toThrow('not reachable from eu-west-1');
    for (const fleet of ['', 'a/b', 'A', 'x'.repeat(64), 'acme/coder'])
      expect(() => registryStub(env, fleet, 'eu-west-1')).toThrow('not the name');
    for (const pool of ['', 'a/b', '__proto__', 'Coder'])
      expect(() => poolStub(env, 'acme', { region: 'eu-west-1', pool, shard: 0 })).toThrow('not the name');
    expect(asked).toEqual([]);
  });
});

describe('a Worker that is wrong about itself', () => {
  it('does not serve', () => {
    expect(ownRegion(VARS).id).toBe('eu-west-1');
    for (const wrong of [{ REGION: 'eu-west-9' }, { JURISDICTION: 'us' }, { JURISDICTION: '' }, { LOCATION_HINT: 'enam' }])
      expect(() => ownRegion({ ...VARS, ...wrong })).toThrow(/^(REGION|JURISDICTION|LOCATION_HINT) is not/);
  });
});

describe('an object', () => {
  const id = (name: string, jurisdiction?: string): DurableObjectId =>
    ({ name, jurisdiction, toString: () => '', equals: () => false }) as unknown as DurableObjectId;

  it('serves under its own name only', () => {
    expect(() => assertOwnObject(id('eu-west-1/acme'), VARS, 'eu-west-1/acme')).not.toThrow();
    expect(() => assertOwnObject(id('eu-west-1/acme'), VARS, 'eu-west-1/other')).toThrow('asked as');
  });

  it('serves in the jurisdiction of its region only, where one is applied', () => {
    const vars = varsOf('eu-west-1');
    expect(() => assertOwnObject(id('eu-west-1/acme', 'eu'), vars, 'eu-west-1/acme')).not.toThrow();
    for (const elsewhere of ['us', undefined])
      expect(() => assertOwnObject(id('eu-west-1/acme', elsewhere), vars, 'eu-west-1/acme')).toThrow(
        'belongs to jurisdiction eu',
      );
    expect(() => assertOwnObject(id('ap-southeast-1/acme'), varsOf('ap-southeast-1'), 'ap-southeast-1/acme')).not.toThrow();
  });
});
