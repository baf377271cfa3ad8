/**
 * What the shards of one pool say to each other. A task stays at its home shard; a sibling lends it one of its agents for one
 * attempt (docs/decisions/012-agents-on-loan.md). Types only.
 */
import type { Home } from './ids.ts';
import type { Caller, PoolReply, PoolRequest } from './rpc.ts';
import type { Selector } from './schemas/allocations.ts';
import type { JsonText } from './schemas/common.ts';

/** What waits at a home shard, the best first: for each kind of agent how many tasks would take one. */
export interface LoanAsk {
  /** The home's last fencing token: what is lent carries a higher one, so that the tokens of a task rise. */
  readonly fence: number;
  readonly wants: readonly {
    readonly capabilities: readonly string[];
    readonly selectors: readonly Selector[];
    readonly count: number;
  }[];
}

/** An agent that a lender keeps free for a moment. The lease exists from here; nobody works under it until it is confirmed. */
export interface LoanOffer {
  readonly allocationId: string;
  readonly fencingToken: number;
  readonly agentId: string;
  readonly capabilities: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

/** What the agent is to do under an offer, written at the home before this is sent. */
export interface LoanTerms {
  readonly allocationId: string;
  readonly taskId: string;
  readonly attempt: number;
  readonly timeoutMs: number;
  readonly timeoutAtMs: number;
  readonly payload: JsonText;
  readonly checkpoint?: JsonText;
}

export interface LoanConfirmation {
  readonly terms: readonly LoanTerms[];
  /** Offers that found no task. */
  readonly unused: readonly string[];
}
/** What became of an offer: an agent has the task under it, or it is over and never was more than an offer. */
export type LoanOutcome = 'held' | 'gone';

/** Why a lender takes an agent back: what the home does with the attempt. */
export interface LoanReturn {
  readonly code: string;
  readonly message: string;
  readonly counted: boolean;
  readonly backoff: boolean;
  /** The task ends with the attempt. */
  readonly cancel?: true;
}

/** A lender's word on one loan: it stands, or (`returned`) it has ended on the lender's side. */
export interface LoanNews {
  readonly allocationId: string;
  readonly taskId: string;
  readonly returned?: LoanReturn;
}

/** The home's answer: whether the attempt is still under that lease; if not, how the lease ended. */
export type LoanStanding =
  | { readonly standing: true; readonly cancelRequested: boolean }
  | { readonly standing: false; readonly status: 'released' | 'revoked' };

/** The home's word on one loan, so that the lender need not wait until it asks: asked to stop, or taken away (`over`). */
export interface LoanOrder {
  readonly allocationId: string;
  readonly over: boolean;
  readonly reason: string;
  readonly graceMs: number;
}

/** RPC methods of PoolObject that only other shards of its pool call. Each is harmless when it comes late or twice. */
export interface LoanRpc {
  lend(fleet: string, home: Home, ask: LoanAsk): Promise<readonly LoanOffer[]>;
  confirmLoans(fleet: string, home: Home, confirmation: LoanConfirmation): Promise<readonly LoanOutcome[]>;
  loanNews(fleet: string, home: Home, lender: number, news: readonly LoanNews[]): Promise<readonly LoanStanding[]>;
  loanOrders(fleet: string, home: Home, orders: readonly LoanOrder[]): Promise<void>;
  /**
   * Lender to home: what an agent says of a lent task. `allocationId`: the live lease of that very token and agent, or null
   * when the lender holds none; then only an answer that was given before is given again.
   */
  underLoan(fleet: string, home: Home, caller: Caller, request: PoolRequest, allocationId: string | null): Promise<PoolReply>;
  /** Home to lender: the same word came to the home first. Answered when lender and home have both written it. */
  speakOfLoan(fleet: string, home: Home, caller: Caller, request: PoolRequest): Promise<PoolReply>;
  /** Lender to home: a lent agent is free again. */
  hasRoom(lender: number): Promise<void>;
}
