import { hash } from 'node:crypto';

/** SHA-256 as hex. Synchronous on purpose: a few microseconds, and no turn of the event loop on the hot path. */
export const sha256Hex = (text: string): string => hash('sha256', text, 'hex');
