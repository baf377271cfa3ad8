import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planGraph, type GraphItem } from '../../../workers/router/task-graph.ts';

const item = (ref: string | undefined, dependsOn: readonly string[] = [], placed = false): GraphItem => ({
  ref,
  dependsOn,
  placed,
});

describe('a batch whose tasks name each other', () => {
  it('without names is one round', () => {
    const plan = planGraph([item(undefined), null, item('a'), item(undefined, ['tsk.eu-west-1.coder.0.X'])]);
    expect(plan.rounds).toEqual([[0, 2, 3]]);
    expect([plan.refused.size, plan.follows]).toEqual([0, [null, null, null, null]]);
  });

  it('goes in rounds, what is needed first, in whatever order it was written', () => {
    const plan = planGraph([item('deploy', ['test', 'build']), item('test', ['build']), item('build'), item('alone')]);
    expect(plan.rounds).toEqual([[2, 3], [1], [0]]);
    expect(plan.needs[0]).toEqual(
      new Map([
        ['test', 1],
        ['build', 2],
      ]),
    );
  });

  it('roots of one graph go where its first one goes, unless they say where', () => {
    const plan = planGraph([item('a'), item('b'), item('c', [], true), item('join', ['a', 'b', 'c']), item('other')]);
    expect(plan.follows).toEqual([null, 0, null, null, null]);
    expect(plan.rounds).toEqual([[0, 2, 4], [1], [3]]);
  });

  it('names a cycle, and refuses what needs it; the rest is submitted', () => {
    const plan = planGraph([item('a', ['b']), item('b', ['c']), item('c', ['a']), item('after', ['a']), item('free')]);
    expect(plan.refused.get(0)?.message).toBe('is part of a cycle: a → b → c → a');
    expect([1, 2].map((i) => plan.refused.get(i)?.message)).toEqual([0, 0].map(() => 'is part of a cycle: a → b → c → a'));
    expect(plan.refused.get(3)).toEqual({ path: 'dependsOn', message: "needs 'a', which was refused" });
    expect(plan.rounds).toEqual([[4]]);
    expect(planGraph([item('me', ['me'])]).refused.get(0)?.message).toBe('is part of a cycle: me → me');
  });

  it('a name has one owner', () => {
    const plan = planGraph([item('a'), item('a'), item('b', ['a'])]);
    expect([...plan.refused]).toEqual([[1, { path: 'ref', message: "'a' names an earlier item of this batch" }]]);
    expect(plan.needs[2]).toEqual(new Map([['a', 0]]));
  });

  it('for any graph: every item is refused or in one round, after all it needs', () => {
    const graphs = fc.array(fc.array(fc.nat(24), { maxLength: 4 }), { minLength: 1, maxLength: 25 });
    fc.assert(
      fc.property(graphs, fc.boolean(), (edges, acyclic) => {
        const items = edges.map((to, i) =>
          item(
            `t${i}`,
            to.filter((n) => n < edges.length && (!acyclic || n < i)).map((n) => `t${n}`),
          ),
        );
        const plan = planGraph(items);
        const at = new Map(plan.rounds.flatMap((round, r) => round.map((index) => [index, r] as const)));
        expect(at.size + plan.refused.size).toBe(items.length);
        if (acyclic) expect(plan.refused.size).toBe(0);
        for (const [index, round] of at) {
          expect(plan.refused.has(index)).toBe(false);
          for (const needed of plan.needs[index]?.values() ?? []) expect(at.get(needed)).toBeLessThan(round);
          const leader = plan.follows[index];
          if (leader != null) expect(at.get(leader)).toBeLessThan(round);
        }
      }),
    );
  });
});
