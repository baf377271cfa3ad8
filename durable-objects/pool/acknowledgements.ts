import type { AcknowledgedBy } from '../../shared/rpc.ts';
import type { LiveAgent } from './core/live-agent.ts';

/** How the agent has acknowledged what was revoked up to `epoch`, or null. */
export const acknowledgedBy = (agent: LiveAgent | undefined, epoch: number): AcknowledgedBy | null =>
  agent === undefined || agent.acknowledgedEpoch < epoch ? null : agent.acknowledgedBy;

/** Whether a word of it may still come: a serverless agent never calls, and one that is lost or gone is not waited for. */
const mayAnswer = ({ record, sessionOpen }: LiveAgent): boolean =>
  record.lifecycle !== 'offline' && (sessionOpen || record.spec.liveness !== 'none');

/** Those of the agents whose acknowledgement is worth waiting for. */
export const stillAwaited = (agents: ReadonlyMap<string, LiveAgent>, epoch: number, agentIds: readonly string[]): Set<string> =>
  new Set(
    agentIds.filter((id) => {
      const agent = agents.get(id);
      return agent !== undefined && mayAnswer(agent) && acknowledgedBy(agent, epoch) === null;
    }),
  );

/** Callers that wait until agents have been heard. Memory only, like every wait. */
export class Acknowledgements {
  readonly #waits = new Set<{ readonly awaited: Set<string>; readonly done: () => void }>();

  /** Resolves when all of them were heard, or after `waitMs`. Takes the set over. */
  wait(awaited: Set<string>, waitMs: number): Promise<void> {
    if (awaited.size === 0 || waitMs <= 0) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waits.delete(wait);
        resolve();
      };
      const timer = setTimeout(done, waitMs);
      const wait = { awaited, done };
      this.#waits.add(wait);
    });
  }

  heard(agentId: string): void {
    for (const { awaited, done } of this.#waits) if (awaited.delete(agentId) && awaited.size === 0) done();
  }

  /** Nobody will be heard any more. */
  clear(): void {
    for (const { done } of this.#waits) done();
  }
}
