import type { FleetError } from '../../shared/errors.ts';
import type { MemoryHome, MemoryRpc } from '../../shared/memory-rpc.ts';
import type { Result } from '../../shared/result.ts';
import type { Caller } from '../../shared/rpc.ts';

/** A file on its way; streams go over RPC where a message of that size would not. */
export type FileStream = ReadableStream<Uint8Array>;

/** What the region's Worker asks of a memory beyond the contract between the parts. */
export interface MemoryApi extends MemoryRpc {
  /** A standard SQLite file with what the caller may read, and nothing else. */
  exportFile(fleet: string, home: MemoryHome, caller: Caller): Promise<Result<FileStream, FleetError>>;
}
