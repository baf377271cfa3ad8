import { WebSocket } from 'ws';
import { SessionLink } from '../../client/src/agent/session-link.ts';
import type { LinkEvents } from '../../client/src/agent/types.ts';
import { HttpClient } from '../../client/src/http.ts';
import type { LocalFleet } from '../../scripts/local/fleet.ts';
import { register } from '../tasks/socket-agents.ts';

const OPENING_AT_ONCE = 32;

export interface Links {
  /** Ends every socket without a closing handshake; resolves when all agents are back. */
  drop(): Promise<{ readonly lastMs: number; readonly slowestMs: number }>;
  close(): Promise<void>;
}

const NO_EVENTS: LinkEvents = {
  assigned: () => undefined,
  held: () => undefined,
  cancelled: () => undefined,
  leaseLost: () => undefined,
  allLost: () => undefined,
  draining: () => undefined,
  revoked: () => undefined,
};

/** Holds sessions of many agents through the SDK's own link, so that they come back as the SDK's agents do. */
export async function connectLinks(fleet: LocalFleet, pool: string, count: number): Promise<Links> {
  const registered = await register(fleet, pool, count);
  const sockets = new Set<WebSocket>();
  let openedAt = new Map<WebSocket, number>();
  // The link takes the platform's WebSocket: here one whose sockets can be torn.
  Reflect.set(
    globalThis,
    'WebSocket',
    class extends WebSocket {
      constructor(url: string, protocols: string[]) {
        super(url, protocols, { perMessageDeflate: false });
        sockets.add(this);
        openedAt.set(this, performance.now());
        this.once('close', () => sockets.delete(this));
      }
    },
  );
  let welcomes = 0;
  let slowestMs = 0;
  let onWelcome = (): void => undefined;
  const links = registered.map((agent) => {
    const http = new HttpClient({ endpoint: fleet.url, token: agent.token, timeoutMs: 10_000, retries: 0, headers: {}, fetch });
    return new SessionLink(http, agent, NO_EVENTS, (event) => {
      if (event.type !== 'connected') return;
      welcomes += 1;
      onWelcome();
    });
  });
  const welcomed = (n: number): Promise<void> =>
    new Promise((resolve) => {
      onWelcome = () => {
        if (welcomes >= n) resolve();
      };
      onWelcome();
    });
  const runs: Promise<unknown>[] = [];
  for (let from = 0; from < links.length; from += OPENING_AT_ONCE) {
    runs.push(...links.slice(from, from + OPENING_AT_ONCE).map((link) => link.run()));
    await welcomed(Math.min(links.length, from + OPENING_AT_ONCE));
  }
  return {
    async drop() {
      const from = performance.now();
      welcomes = 0;
      openedAt = new Map();
      for (const socket of sockets) socket.terminate();
      const back = welcomed(links.length);
      const watch = setInterval(() => {
        for (const [socket, at] of openedAt)
          if (socket.readyState === WebSocket.CONNECTING) slowestMs = Math.max(slowestMs, performance.now() - at);
      }, 20);
      await back;
      clearInterval(watch);
      return { lastMs: performance.now() - from, slowestMs };
    },
    async close() {
      for (const link of links) link.close();
      await Promise.all(runs);
    },
  };
}
