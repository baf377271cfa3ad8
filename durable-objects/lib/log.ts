/** One structured line for an unexpected failure. Never a payload; the text of an error does not leave through an answer. */
export function logError(message: string, error: unknown, fields: Readonly<Record<string, string | number>> = {}): void {
  console.error(
    JSON.stringify({ level: 'error', message, error: error instanceof Error ? error.message : String(error), ...fields }),
  );
}
