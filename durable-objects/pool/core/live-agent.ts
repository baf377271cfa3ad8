import type { AcknowledgedBy } from '../../../shared/rpc.ts';
import type { AgentStatus, RevokedLease } from '../../../shared/schemas/agents.ts';
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
  /** Leases of it that were revoked, and that it has not been told of by an answer yet. */
  revoked: RevokedLease[];
  /** The latest revocation it has acknowledged, and how. Lost in a restart, until it is heard again. */
  acknowledgedEpoch: number;
  acknowledgedBy: AcknowledgedBy;
}
