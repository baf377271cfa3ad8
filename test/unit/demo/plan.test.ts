import { describe, expect, test } from 'vitest';
import { AGENTS_MAX, AGENTS_MIN, WORK, chooseRegions, planAgents, planErrands } from '../../../scripts/demo/plan.ts';

const THREE = ['us-east-1', 'eu-west-1', 'ap-southeast-1'];

describe('planAgents', () => {
  test.each([AGENTS_MIN, 7, 11, 18, 24, 25, AGENTS_MAX])('%i agents: every pool and region, at least two to a lane', (count) => {
    const { lanes, agents, victimLane } = planAgents(count, THREE);
    expect(agents).toHaveLength(count);
    expect(agents.map(({ index }) => index)).toEqual([...agents.keys()]);
    expect(new Set(lanes.map(({ region }) => region))).toEqual(new Set(THREE));
    expect(new Set(lanes.map(({ work }) => work))).toEqual(new Set(WORK));
    expect(new Set(lanes.map(({ region, work }) => `${region}/${work.pool}`)).size).toBe(lanes.length);
    for (const lane of lanes) {
      expect(lane.agents).toBeGreaterThanOrEqual(2);
      expect(agents.filter((agent) => agent.lane === lane)).toHaveLength(lane.agents);
    }
    expect(lanes).toContain(victimLane);
    expect(agents.some((agent) => agent.lane === victimLane && agent.isCommand)).toBe(false);
    expect(agents.filter(({ isCommand }) => isCommand).length).toBe(Math.min(3, lanes.length - 1));
  });

  test('by default nine lanes and three wrapped commands, one for each pool', () => {
    const { lanes, agents } = planAgents(24, THREE);
    expect(lanes).toHaveLength(9);
    expect(new Set(agents.filter(({ isCommand }) => isCommand).map(({ lane }) => lane.work)).size).toBe(3);
  });

  test.each([1, 2])('a fleet of %i regions gets no lane twice', (count) => {
    const { lanes } = planAgents(24, THREE.slice(0, count));
    expect(new Set(lanes.map(({ region, work }) => `${region}/${work.pool}`)).size).toBe(lanes.length);
    expect(lanes).toHaveLength(3 * count);
  });

  test('regions are chosen far apart', () => {
    expect(chooseRegions(['us-east-1', 'us-west-1', 'eu-west-1', 'eu-central-1', 'ap-southeast-1'])).toEqual(THREE);
    expect(chooseRegions(['us-west-1', 'eu-central-1'])).toEqual(['eu-central-1', 'us-west-1']);
  });
});

describe('planErrands', () => {
  test('each file goes to each pool once, and one errand is the victim', () => {
    const plan = planAgents(24, THREE);
    const files = Array.from({ length: 20 }, (_, i) => `f${i}`);
    const errands = planErrands(files, plan);
    expect(errands).toHaveLength(60);
    for (const file of files) expect(new Set(errands.filter((e) => e.file === file).map((e) => e.lane.work)).size).toBe(3);
    const victims = errands.filter(({ isVictim }) => isVictim);
    expect(victims.map(({ lane }) => lane)).toEqual([plan.victimLane]);
    for (const lane of plan.lanes) expect(errands.some((errand) => errand.lane === lane)).toBe(true);
  });

  test('one file is enough', () => {
    const plan = planAgents(6, THREE);
    expect(planErrands(['f'], plan).filter(({ isVictim }) => isVictim)).toHaveLength(1);
  });
});
