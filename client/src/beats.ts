import { LIMITS } from '../../shared/limits.ts';
import { heartbeats } from './api/agents.ts';
import { NotFoundError } from './errors.ts';
import type { HttpClient } from './http.ts';

/** Beats for agents that live in this process and have no line of their own, all in one request. */
export class AgentBeats {
  readonly #http: HttpClient;
  readonly #warn: (message: string) => void;
  readonly #agents = new Set<string>();
  #timer: ReturnType<typeof setInterval> | null = null;

  constructor(http: HttpClient, warn: (message: string) => void = console.warn) {
    this.#http = http;
    this.#warn = warn;
  }

  add(agentId: string): void {
    this.#agents.add(agentId);
    this.#timer ??= setInterval(() => void this.#beat(), LIMITS.heartbeatIntervalMs);
  }

  remove(agentId: string): void {
    this.#agents.delete(agentId);
    if (this.#agents.size === 0) this.stop();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#agents.clear();
  }

  async #beat(): Promise<void> {
    const ids = [...this.#agents];
    try {
      // The next beat is the retry; a slow one must not outlive it.
      const results = await heartbeats(
        this.#http,
        ids.map((id) => ({ id })),
        { retries: 0, timeoutMs: LIMITS.heartbeatIntervalMs },
      );
      for (const [index, result] of results.entries()) {
        const id = ids[index];
        if (id === undefined || result.ok || !(result.error instanceof NotFoundError)) continue;
        this.remove(id);
        this.#warn(`Agent ${id} is gone from the fleet; it is not kept alive any more.`);
      }
    } catch (error) {
      if (this.#timer !== null) this.#warn(`Heartbeats failed: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
