import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ID_KINDS, makeId, parseId, parseIdOf, type IdKind } from '../../../shared/ids.ts';

const ULID = '01ARZ3NDEKTSV4RRFFQ69G5FAV';
const home = fc.record({
  region: fc.constantFrom('us-east-1', 'eu-central-1', 'ap-southeast-1'),
  pool: fc.stringMatching(/^[a-z][a-z0-9-]{0,31}$/),
  shard: fc.integer({ min: 0, max: 63 }),
});
const kind = fc.constantFrom(...(Object.keys(ID_KINDS) as IdKind[]));

describe('ids', () => {
  it('say where a thing lives', () => {
    fc.assert(
      fc.property(kind, home, (k, h) => {
        const id = makeId(k, h, ULID);
        expect(parseId(id)).toEqual({ kind: k, ...h, ulid: ULID });
        expect(parseIdOf(k, id)).not.toBeNull();
      }),
    );
  });

  it('are refused when this system cannot have written them', () => {
    const good = makeId('task', { region: 'eu-west-1', pool: 'coder', shard: 0 }, ULID);
    const bad = [
      '',
      'x',
      good.replace('tsk', 'xyz'),
      good.toUpperCase(),
      `${good}.1`,
      `${good} `,
      good.replace('.0.', '.00.'),
      good.replace('.0.', '.-1.'),
      good.replace('coder', 'Coder'),
      good.replace('coder', '../etc'),
      good.replace('eu-west-1', 'eu'),
      good.replace('01ARZ', '81ARZ'),
      good.replace('01ARZ', '01ARI'),
      good.slice(0, -1),
      'tsk.eu-west-1.coder.0.',
      `tsk.eu-west-1.${'a'.repeat(40)}.0.${ULID}`,
    ];
    for (const id of bad) expect(parseId(id), id).toBeNull();
    expect(parseIdOf('agent', good)).toBeNull();
  });

  it('any text is answered, never thrown at', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        parseId(text);
      }),
    );
  });
});
