type Listener = (signal: string) => void;

/** One pair of process listeners for all agents of a process, there only while an agent runs. */
const listeners = new Set<Listener>();
const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
const onSignal = (signal: string): void => {
  for (const listener of listeners) listener(signal);
};

/** Calls `listener` on SIGINT and SIGTERM until the returned function is called. Does nothing outside Node. */
export function onShutdownSignal(listener: Listener): () => void {
  const host = (globalThis as { process?: NodeJS.Process }).process;
  if (typeof host?.on !== 'function' || typeof host.versions?.node !== 'string') return () => undefined;
  if (listeners.size === 0) for (const name of SIGNALS) host.on(name, onSignal);
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) for (const name of SIGNALS) host.off(name, onSignal);
  };
}
