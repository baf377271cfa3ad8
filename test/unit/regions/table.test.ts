import { describe, expect, it } from 'vitest';
import { isRegionId, isResidencyGroup, parseRegionList, REGIONS, regionOf } from '../../../regions/table.ts';
import { REGION_NAME } from '../../../shared/ids.ts';

describe('the region table', () => {
  it('has names that ids can carry, each once', () => {
    const ids = REGIONS.map((region) => region.id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(REGION_NAME);
  });

  it('gives no group a region of another jurisdiction: failover inside a group stays lawful', () => {
    for (const region of REGIONS) {
      for (const other of REGIONS) if (region.group === other.group) expect(other.jurisdiction).toBe(region.jurisdiction);
    }
  });

  it('has no name that is both a region and a group', () => {
    for (const region of REGIONS) expect(isResidencyGroup(region.id)).toBe(false);
    expect(isRegionId('eu')).toBe(false);
  });

  it('finds a region by name and nothing by an inherited property', () => {
    expect(regionOf('eu-west-1').placement).toBe('aws:eu-west-1');
    for (const name of ['constructor', '__proto__', 'toString']) expect(isRegionId(name) || isResidencyGroup(name)).toBe(false);
  });
});

describe('a list of regions', () => {
  it('keeps the order, trims, and drops repeats', () => {
    expect(parseRegionList(' eu-west-1, us-east-1 ,eu-west-1,')).toEqual({ ok: true, value: ['eu-west-1', 'us-east-1'] });
  });

  it.each(['', ' , ', 'eu', 'eu-west-1,nowhere'])('refuses %j', (text) => {
    expect(parseRegionList(text)).toMatchObject({ ok: false, error: { kind: 'unknown_region' } });
  });
});
