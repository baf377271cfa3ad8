/** Version of the wire format; `test/unit/shared/wire.test.ts` holds a hash of the schemas beside it. */
export const PROTOCOL_VERSION = 1;
