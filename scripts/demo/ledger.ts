import { appendFileSync, readFileSync } from 'node:fs';
import type { AgentEvent } from '../../client/src/agent/types.ts';

/**
 * What one agent process saw, written by that process alone and as it happens, so that it survives a SIGKILL: its events,
 * one JSON object a line, as `fleet agent -o json` prints them. The fleet has no part in it, which makes it a second
 * witness of what was done.
 */
export interface Ledger {
  readonly agentId: string | null;
  readonly starts: readonly LedgerEntry[];
  /** Results that the fleet has acknowledged to this agent. */
  readonly completions: readonly LedgerEntry[];
}

export interface LedgerEntry {
  readonly taskId: string;
  readonly attempt: number;
  readonly atMs: number;
}

/** Writes an event down before anything else happens. */
export function appendEvent(file: string, event: AgentEvent): void {
  const reason = 'reason' in event ? { reason: String(event.reason) } : {};
  appendFileSync(file, `${JSON.stringify({ atMs: Date.now(), ...event, ...reason })}\n`);
}

/** Reads a ledger; one that was never written is empty. */
export function readLedger(file: string): Ledger {
  try {
    return parseLedger(readFileSync(file, 'utf8'));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return parseLedger('');
    throw error;
  }
}

/** Lines that are no events are passed over, and so is a last one that was cut short. */
export function parseLedger(text: string): Ledger {
  let agentId: string | null = null;
  const starts: LedgerEntry[] = [];
  const completions: LedgerEntry[] = [];
  const attempts = new Map<string, number>();
  for (const line of text.split('\n')) {
    const event = parseLine(line);
    if (event === null) continue;
    const { type, taskId, attempt, atMs, outcome } = event;
    if (type === 'registered' && typeof event['agentId'] === 'string') agentId = event['agentId'];
    if (typeof taskId !== 'string' || typeof atMs !== 'number') continue;
    if (type === 'taskStarted' && typeof attempt === 'number') {
      attempts.set(taskId, attempt);
      starts.push({ taskId, attempt, atMs });
    }
    // The end does not repeat the attempt; an agent holds a task once at a time, so it is that of the last start.
    if (type === 'taskEnded' && outcome === 'completed') completions.push({ taskId, attempt: attempts.get(taskId) ?? 0, atMs });
  }
  return { agentId, starts, completions };
}

function parseLine(line: string): Record<string, unknown> | null {
  if (!line.startsWith('{')) return null;
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return null;
  }
}
