import type { MemoryLevel } from '../../shared/schemas/memory.ts';
import type { Caller } from '../../shared/rpc.ts';
import { agent, person } from './memory-harness.ts';

/*
 * Who there is, and what the contract lets them do by level alone: the oracle of the matrices. It knows nothing of SQL and is
 * written from the contract, not from the code.
 */

export const OWNER = agent('coder', 1);
export const CALLERS: Readonly<Record<string, Caller>> = {
  owner: OWNER,
  teammate: agent('coder', 2),
  member: agent('tester', 3),
  outsider: agent('coder', 4, ['another']),
  stranger: agent('tester', 5, []),
  viewer: person('viewer'),
  operator: person('operator'),
  admin: person('admin'),
};

/** The contract in words: which levels each kind of caller reads by level alone. */
export const READS: Readonly<Record<string, readonly MemoryLevel[]>> = {
  owner: ['private', 'team', 'swarm', 'public', 'system'],
  teammate: ['team', 'swarm', 'public', 'system'],
  member: ['swarm', 'public', 'system'],
  outsider: ['public'],
  stranger: ['public'],
  viewer: ['public'],
  operator: ['team', 'swarm', 'public', 'system'],
  admin: ['team', 'swarm', 'public', 'system'],
};
export const CHANGES: Readonly<Record<string, readonly MemoryLevel[]>> = {
  owner: ['private', 'team', 'swarm', 'public'],
  admin: ['team', 'swarm', 'public', 'system'],
};
