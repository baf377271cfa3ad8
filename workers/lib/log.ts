/** What a line may carry: names, ids and numbers of our own making. Never a payload, a token or a body. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** One structured line. Only `error` goes to stderr, so that a collector can tell them apart without parsing. */
export function log(level: 'debug' | 'info' | 'warn' | 'error', message: string, fields: LogFields = {}): void {
  const line = JSON.stringify({ level, message, ...fields });
  if (level === 'error') console.error(line);
  else console.log(line);
}

/** The text of an unexpected error, for the log alone. */
export const errorText = (error: unknown): string =>
  error instanceof Error
    ? `${error.name}: ${error.message}${error.stack === undefined ? '' : `\n${error.stack}`}`
    : String(error);
