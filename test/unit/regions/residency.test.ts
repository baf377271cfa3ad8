import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allowedRegions, resolveResidency } from '../../../regions/residency.ts';
import { REGIONS, type RegionId, regionOf } from '../../../regions/table.ts';

const ALL: readonly RegionId[] = REGIONS.map((region) => region.id);
const GROUPS = ['us', 'eu', 'apac'] as const;
const strict = (...allowed: string[]) => ({ allowed, enforcement: 'strict' }) as const;
const preferred = (...allowed: string[]) => ({ allowed, enforcement: 'preferred' }) as const;
const tiers = (result: ReturnType<typeof resolveResidency>) => (result.ok ? result.value.tiers : result.error.kind);

describe('one rule', () => {
  it('without rules every configured region may serve, in configured order', () => {
    expect(tiers(resolveResidency({ configured: ['us-west-1', 'eu-west-1'] }))).toEqual([['us-west-1', 'eu-west-1']]);
  });

  it('a group stands for its configured regions', () => {
    expect(tiers(resolveResidency({ configured: ALL, fleet: strict('eu') }))).toEqual([['eu-west-1', 'eu-central-1']]);
    expect(tiers(resolveResidency({ configured: ['us-east-1', 'eu-west-1'], fleet: strict('eu') }))).toEqual([['eu-west-1']]);
  });

  it('regions and groups mix and repeats do no harm', () => {
    expect(tiers(resolveResidency({ configured: ALL, request: strict('apac', 'eu-west-1', 'apac') }))).toEqual([
      ['eu-west-1', 'ap-southeast-1'],
    ]);
  });

  it.each(['mars-1', '', 'EU', 'eu-west-1 ', '__proto__', 'constructor'])(
    'an unknown name %j is refused, good names beside it or not',
    (name) => {
      for (const rule of [strict(name), strict('eu', name), preferred(name)]) {
        expect(tiers(resolveResidency({ configured: ALL, fleet: rule }))).toBe('unknown_region');
        expect(tiers(resolveResidency({ configured: ALL, request: rule }))).toBe('unknown_region');
      }
    },
  );

  it('a strict rule whose regions are all absent from the deployment is refused', () => {
    expect(tiers(resolveResidency({ configured: ['us-east-1'], fleet: strict('eu') }))).toBe('residency_violation');
    expect(tiers(resolveResidency({ configured: ['us-east-1'], request: strict('eu-west-1') }))).toBe('residency_violation');
  });

  it('a preferred rule puts its regions first and the others behind', () => {
    expect(tiers(resolveResidency({ configured: ALL, fleet: preferred('eu') }))).toEqual([
      ['eu-west-1', 'eu-central-1'],
      ['us-east-1', 'us-west-1', 'ap-southeast-1'],
    ]);
  });
});

describe('a request narrows its fleet', () => {
  it('what both allow is left', () => {
    expect(tiers(resolveResidency({ configured: ALL, fleet: strict('eu'), request: strict('eu-west-1', 'us') }))).toEqual([
      ['eu-west-1'],
    ]);
  });

  it('nothing in common is a refusal', () => {
    expect(tiers(resolveResidency({ configured: ALL, fleet: strict('eu'), request: strict('us') }))).toBe('residency_violation');
  });

  it('a preference orders inside the strict boundary and cannot leave it', () => {
    expect(tiers(resolveResidency({ configured: ALL, fleet: strict('eu'), request: preferred('us', 'eu-central-1') }))).toEqual([
      ['eu-central-1'],
      ['eu-west-1'],
    ]);
    expect(tiers(resolveResidency({ configured: ALL, fleet: strict('eu'), request: preferred('us') }))).toEqual([
      ['eu-west-1', 'eu-central-1'],
    ]);
  });

  it('a strict request bounds a fleet that only prefers', () => {
    expect(tiers(resolveResidency({ configured: ALL, fleet: preferred('eu'), request: strict('us', 'eu-west-1') }))).toEqual([
      ['eu-west-1'],
      ['us-east-1', 'us-west-1'],
    ]);
  });

  it("of two preferences the request's weighs more", () => {
    expect(tiers(resolveResidency({ configured: ALL, fleet: preferred('eu'), request: preferred('us', 'eu-west-1') }))).toEqual([
      ['eu-west-1'],
      ['us-east-1', 'us-west-1'],
      ['eu-central-1'],
      ['ap-southeast-1'],
    ]);
  });
});

describe('for any rules', () => {
  const rule = fc.record({
    allowed: fc.uniqueArray(fc.constantFrom<string>(...ALL, ...GROUPS), { minLength: 1, maxLength: 5 }),
    enforcement: fc.constantFrom('strict' as const, 'preferred' as const),
  });
  const names = (allowed: readonly string[], region: RegionId): boolean =>
    allowed.includes(region) || allowed.includes(regionOf(region).group);

  it('the result is exactly the configured regions inside both strict boundaries, each once', () => {
    fc.assert(
      fc.property(
        fc.shuffledSubarray([...ALL], { minLength: 1 }),
        fc.option(rule, { nil: undefined }),
        fc.option(rule, { nil: undefined }),
        (configured, fleet, request) => {
          const expected = configured.filter((region) =>
            [fleet, request].every((r) => r?.enforcement !== 'strict' || names(r.allowed, region)),
          );
          const result = resolveResidency({ configured, fleet, request });
          if (expected.length === 0) {
            expect(tiers(result)).toBe('residency_violation');
            return;
          }
          if (!result.ok) throw new Error(result.error.detail);
          expect([...allowedRegions(result.value)].sort()).toEqual([...expected].sort());
          expect(result.value.tiers.every((tier) => tier.length > 0)).toBe(true);
        },
      ),
    );
  });

  it('adding a request rule never adds a region', () => {
    fc.assert(
      fc.property(fc.option(rule, { nil: undefined }), rule, (fleet, request) => {
        const before = resolveResidency({ configured: ALL, fleet });
        const after = resolveResidency({ configured: ALL, fleet, request });
        if (!before.ok || !after.ok) return;
        const lawful = new Set(allowedRegions(before.value));
        expect(allowedRegions(after.value).every((region) => lawful.has(region))).toBe(true);
      }),
    );
  });
});
