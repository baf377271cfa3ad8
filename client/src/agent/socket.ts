import { ConfigurationError } from '../errors.ts';

/** The part of a WebSocket that sessions use: the platform's own, or that of the `ws` package. */
export interface Socket {
  send(data: string): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: 'open' | 'error', listener: () => void): void;
  addEventListener(type: 'message', listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: 'close', listener: (event: { readonly code: number; readonly reason: string }) => void): void;
}

/** Opens a socket with the platform's WebSocket; Node before 22 has none and needs the `ws` package. */
export async function openSocket(url: string, protocols: readonly string[]): Promise<Socket> {
  const Native = (globalThis as { WebSocket?: new (url: string, protocols: string[]) => Socket }).WebSocket;
  if (Native !== undefined) return new Native(url, [...protocols]);
  try {
    const { WebSocket } = await import('ws');
    return new WebSocket(url, [...protocols]);
  } catch (cause) {
    throw new ConfigurationError("This runtime has no WebSocket: use Node 22 or later, install `ws`, or choose mode 'poll'.", {
      cause,
    });
  }
}
