const SANE = /^[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}$/;

/** The caller's request id when it is one that can be logged and echoed as it is, otherwise a new one. */
export const requestIdOf = (header: string | null): string =>
  header !== null && SANE.test(header) ? header : crypto.randomUUID();
