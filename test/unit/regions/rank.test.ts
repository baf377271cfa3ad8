import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { candidateRegions, distanceKm, parseGeoPoint, rankRegions } from '../../../regions/rank.ts';
import { REGIONS, type RegionId, regionOf } from '../../../regions/table.ts';

const ALL: readonly RegionId[] = REGIONS.map((region) => region.id);
const everywhere = { tiers: [ALL] };
const point = fc.record({
  lat: fc.double({ min: -90, max: 90, noNaN: true }),
  lon: fc.double({ min: -180, max: 180, noNaN: true }),
});

describe('distance', () => {
  it('agrees with known distances within a percent', () => {
    const dublin = regionOf('eu-west-1').location;
    expect(distanceKm(dublin, regionOf('eu-central-1').location)).toBeCloseTo(1_087, -1.5);
    expect(distanceKm(dublin, regionOf('ap-southeast-1').location) / 11_220).toBeCloseTo(1, 1);
    expect(distanceKm({ lat: 0, lon: 0 }, { lat: 0, lon: 180 })).toBeCloseTo(Math.PI * 6_371, 3);
  });

  it('goes round the back of the globe where that is shorter', () => {
    expect(distanceKm({ lat: 0, lon: 179 }, { lat: 0, lon: -179 })).toBeLessThan(250);
  });

  it('is a metric on the globe', () => {
    fc.assert(
      fc.property(point, point, point, (a, b, c) => {
        const ab = distanceKm(a, b);
        expect(ab).toBeGreaterThanOrEqual(0);
        expect(ab).toBeLessThanOrEqual(20_016);
        expect(Math.abs(ab - distanceKm(b, a))).toBeLessThan(1e-6);
        expect(distanceKm(a, a)).toBe(0);
        expect(ab).toBeLessThanOrEqual(distanceKm(a, c) + distanceKm(c, b) + 1e-3);
      }),
    );
  });
});

describe('ranking', () => {
  it.each([
    ['Paris', { lat: 48.86, lon: 2.35 }, 'eu-central-1', 'eu-west-1'],
    ['London', { lat: 51.5, lon: -0.12 }, 'eu-west-1', 'eu-central-1'],
    ['New York', { lat: 40.71, lon: -74.0 }, 'us-east-1', 'us-west-1'],
    ['Seattle', { lat: 47.6, lon: -122.33 }, 'us-west-1', 'us-east-1'],
    ['Tokyo', { lat: 35.68, lon: 139.69 }, 'ap-southeast-1', 'us-west-1'],
  ])('sends %s to its nearest region, then the next', (_city, from, first, second) => {
    expect(rankRegions(everywhere, { from }).slice(0, 2)).toEqual([first, second]);
  });

  it('keeps the configured order when the place is unknown', () => {
    expect(rankRegions({ tiers: [['eu-west-1', 'us-east-1']] }, { from: null })).toEqual(['eu-west-1', 'us-east-1']);
  });

  it('puts the preferred region first and the others by distance', () => {
    expect(rankRegions(everywhere, { from: { lat: 51.5, lon: 0 }, preferred: 'ap-southeast-1' })).toEqual([
      'ap-southeast-1',
      'eu-west-1',
      'eu-central-1',
      'us-east-1',
      'us-west-1',
    ]);
  });

  it('never lets distance lift a region over a better tier', () => {
    const tiers = [['ap-southeast-1'], ['eu-west-1', 'eu-central-1']] as const;
    expect(rankRegions({ tiers }, { from: { lat: 53, lon: -6 } })).toEqual(['ap-southeast-1', 'eu-west-1', 'eu-central-1']);
  });

  it('ignores a preference for a region that is not allowed', () => {
    expect(rankRegions({ tiers: [['eu-west-1']] }, { from: null, preferred: 'us-east-1' })).toEqual(['eu-west-1']);
  });

  it('loses and invents no region, from anywhere', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray([...ALL], { minLength: 1 }), fc.option(point), (regions, from) => {
        const ranked = rankRegions({ tiers: [regions] }, { from });
        expect([...ranked].sort()).toEqual([...regions].sort());
        if (from === null) return;
        const km = ranked.map((region) => distanceKm(from, regionOf(region).location));
        expect(km).toEqual([...km].sort((a, b) => a - b));
      }),
    );
  });
});

describe('candidates of a request', () => {
  const ask = (over: Partial<Parameters<typeof candidateRegions>[0]>) =>
    candidateRegions({ configured: ALL, from: null, ...over });

  it('refuses a region that this deployment does not have', () => {
    expect(ask({ region: 'mars-1' })).toMatchObject({ ok: false, error: { kind: 'unknown_region' } });
    expect(ask({ region: '__proto__' })).toMatchObject({ ok: false, error: { kind: 'unknown_region' } });
    expect(ask({ configured: ['eu-west-1'], region: 'us-east-1' })).toMatchObject({
      ok: false,
      error: { kind: 'unknown_region' },
    });
  });

  it('refuses a region that the rules forbid', () => {
    const fleet = { allowed: ['eu'], enforcement: 'strict' } as const;
    expect(ask({ fleet, region: 'us-east-1' })).toMatchObject({ ok: false, error: { kind: 'residency_violation' } });
  });

  it('tries the named region first, then the allowed rest', () => {
    const fleet = { allowed: ['eu', 'us-east-1'], enforcement: 'strict' } as const;
    expect(ask({ fleet, region: 'eu-central-1', from: { lat: 53, lon: -6 } })).toEqual({
      ok: true,
      value: ['eu-central-1', 'eu-west-1', 'us-east-1'],
    });
  });

  it('never yields a region outside the strict rules', () => {
    fc.assert(
      fc.property(
        fc.subarray([...ALL], { minLength: 1 }),
        fc.subarray([...ALL], { minLength: 1 }),
        fc.option(fc.constantFrom(...ALL), { nil: undefined }),
        fc.option(point),
        (fleet, request, region, from) => {
          const result = ask({
            fleet: { allowed: fleet, enforcement: 'strict' },
            request: { allowed: request, enforcement: 'strict' },
            region,
            from,
          });
          const both = ALL.filter((id) => fleet.includes(id) && request.includes(id));
          if (both.length === 0 || (region !== undefined && !both.includes(region))) {
            expect(result).toMatchObject({ ok: false, error: { kind: 'residency_violation' } });
            return;
          }
          expect(result.ok && [...result.value].sort()).toEqual([...both].sort());
          if (region !== undefined) expect(result.ok && result.value[0]).toBe(region);
        },
      ),
    );
  });
});

describe('a place in a header', () => {
  it.each([
    ['48.85,2.35', { lat: 48.85, lon: 2.35 }],
    [' -33.9 , 151 ', { lat: -33.9, lon: 151 }],
    ['90,-180', { lat: 90, lon: -180 }],
  ])('reads %j', (text, expected) => expect(parseGeoPoint(text)).toEqual(expected));

  it.each(['', ',', '1', '91,0', '0,181', 'NaN,0', 'Infinity,1', '1e2,3', '1,2,3', '0x10,1', '--1,2', '1.,2', '９,1'])(
    'takes %j for an unknown place',
    (text) => expect(parseGeoPoint(text)).toBeNull(),
  );

  it('answers any text with a finite place on the globe or none', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const place = parseGeoPoint(text);
        if (place !== null) expect(Number.isFinite(place.lat) && Number.isFinite(place.lon)).toBe(true);
      }),
    );
  });
});
