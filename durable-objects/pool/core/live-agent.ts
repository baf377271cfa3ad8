import type { AgentStatus } from '../../../shared/schemas/agents.ts';
import type { AgentRecord } from './records.ts';

/** An agent with what memory adds: derived from leases, sockets and beats, rebuilt on every load. */
export interface LiveAgent {
  readonly record: AgentRecord;
  readonly leases: Set<string>;
  slotsUsed: number;
  sessionOpen: boolean;
  /** A long poll is parked: the agent takes up to this many assignments now. */
  pollRoom: number;
  /** Last proof of life by which the agent is judged; a wake counts as one for agents seen lately. */
  aliveAsOfMs: number;
  /** The last sign of life that is stored; a beat is not worth a commit of its own. */
  seenStoredAtMs: number;
  /** The one grace timer that counts while the agent is suspect. */
  graceDueMs: number | null;
  /** Rises with every grant; the smallest is the least recently granted. */
  grantSeq: number;
  countedAs: AgentStatus | null;
  countedFree: number;
}
