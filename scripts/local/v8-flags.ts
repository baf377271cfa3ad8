const VARIABLE = 'MINIFLARE_WORKERD_V8_FLAGS';
const FLAG = '--expose-gc';

/** The Workers of a local fleet collect their garbage in pauses (decision 015), for which they need the collector. */
export function exposeCollector(): void {
  const flags = (process.env[VARIABLE] ?? '').split(' ').filter((flag) => flag !== '');
  if (!flags.includes(FLAG)) process.env[VARIABLE] = [...flags, FLAG].join(' ');
}
