import { describe, expect, it } from 'vitest';
import {
  BOOSTER_EXTENSIONS,
  BOOSTER_OPERATIONS,
  BOOSTER_REASONS,
  EDIT_STYLES,
  isMendable,
  routeOf,
} from '../../../shared/booster.ts';
import { RecentMap } from '../../../shared/recent-map.ts';
import { LANGUAGES } from '../../../wasm/booster/languages.ts';
import { EDIT_STYLES as ENGINE_STYLES } from '../../../wasm/booster/merge/types.ts';
import { BOOSTER_REASONS as ENGINE_REASONS } from '../../../wasm/booster/operations/task.ts';

describe('what is said of the booster', () => {
  it('B201: extensions, styles and reasons are those of the engine', () => {
    expect(new Set(BOOSTER_EXTENSIONS)).toEqual(new Set(Object.values(LANGUAGES).flatMap(({ extensions }) => extensions)));
    expect(EDIT_STYLES).toEqual(ENGINE_STYLES);
    expect(BOOSTER_REASONS).toEqual([...ENGINE_REASONS, 'fault']);
  });

  it('B202: exact work goes to the booster, judgement to agents', () => {
    for (const operation of BOOSTER_OPERATIONS) expect(routeOf(operation)).toBe('booster');
    expect((['generate', 'refactor', 'review'] as const).map(routeOf)).toEqual(['agent', 'agent', 'agent']);
  });

  it('B203: an agent may mend every refusal but an empty one', () => {
    expect(BOOSTER_REASONS.filter((reason) => !isMendable(reason))).toEqual(['empty']);
  });
});

describe('RecentMap', () => {
  it('B204: forgets the one not used for longest', () => {
    const map = new RecentMap(2, () => ({ n: 0 }));
    map.use('a').n = 1;
    map.use('b');
    map.use('a');
    map.use('c');
    expect([map.size, map.get('a')?.n, map.get('b'), map.use('b').n]).toEqual([2, 1, undefined, 0]);
  });
});
