import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import * as z from 'zod';
import * as agents from '../../../shared/schemas/agents.ts';
import * as allocations from '../../../shared/schemas/allocations.ts';
import * as booster from '../../../shared/schemas/booster.ts';
import * as common from '../../../shared/schemas/common.ts';
import * as fleet from '../../../shared/schemas/fleet.ts';
import * as memory from '../../../shared/schemas/memory.ts';
import * as problem from '../../../shared/schemas/problem.ts';
import * as session from '../../../shared/schemas/session.ts';
import * as tasks from '../../../shared/schemas/tasks.ts';
import * as why from '../../../shared/schemas/why.ts';
import { PROTOCOL_VERSION } from '../../../shared/version.ts';

/**
 * What is on the wire, as one number. When this fails the wire has changed: see that the change is additive (or raise
 * PROTOCOL_VERSION), note it in the changelog, and put the new hash here.
 */
const WIRE = { version: 1, hash: '7822732c85d2e79f' };

it('the wire format changes only on purpose', () => {
  const modules = { agents, allocations, booster, common, fleet, memory, problem, session, tasks, why };
  const schemas = Object.entries(modules).flatMap(([module, exports]) =>
    Object.entries(exports).flatMap(([name, value]) =>
      value instanceof z.ZodType
        ? [[`${module}.${name}`, z.toJSONSchema(value, { unrepresentable: 'any', io: 'input' })] as const]
        : [],
    ),
  );
  const text = JSON.stringify(schemas.toSorted(([a], [b]) => (a < b ? -1 : 1)));
  expect({ version: PROTOCOL_VERSION, hash: createHash('sha256').update(text).digest('hex').slice(0, 16) }).toEqual(WIRE);
});
