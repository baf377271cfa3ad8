/** Why an instance was given up although it did not fail. */
export type RetiredFor = 'operations' | 'memory' | 'budget' | 'idle';

export type PoolEvent =
  | { readonly type: 'slotStarted'; readonly slotId: number; readonly atMs: number }
  | { readonly type: 'slotRetired'; readonly slotId: number; readonly why: RetiredFor }
  /** The instance failed: nothing of it is used again. */
  | { readonly type: 'slotIsolated'; readonly slotId: number }
  | {
      readonly type: 'callConnected';
      readonly callId: number;
      readonly slotId: number;
      readonly priority: number;
      readonly atMs: number;
    }
  | { readonly type: 'callMoved'; readonly callId: number; readonly slotId: number }
  | { readonly type: 'callPassed'; readonly callId: number; readonly atMs: number }
  | { readonly type: 'callEnded'; readonly callId: number; readonly atMs: number }
  | {
      readonly type: 'operationDone';
      readonly slotId: number;
      readonly callId: number;
      readonly memoryBytes: number;
      readonly atMs: number;
    };

export type PoolCommand =
  /** A call begins: it gets the slot with the fewest calls, and a new one while all have some. */
  | { readonly type: 'connect'; readonly callId: number; readonly priority: number }
  /** It lets somebody else have a turn. */
  | { readonly type: 'pass'; readonly callId: number }
  /** Its next operation was answered; `spent`: the budget ran out under way, and what the instance was left with is not trusted. */
  | { readonly type: 'succeed'; readonly callId: number; readonly memoryBytes: number; readonly spent: boolean }
  /** Its next operation made the engine fail. */
  | { readonly type: 'fail'; readonly callId: number }
  | { readonly type: 'disconnect'; readonly callId: number };
