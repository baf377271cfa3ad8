import { hash } from 'node:crypto';

/** SHA-256 as hex. Synchronous on purpose: a few microseconds, and no turn of the event loop on the hot path. */
export const sha256Hex = (data: string | Uint8Array): string => hash('sha256', data, 'hex');
