import type { JsonText } from '../../../shared/schemas/common.ts';
import type { ShardConfig } from '../../../shared/rpc.ts';
import type { AgentRecord, BlobKind, LeaseRecord, RevocationRecord, TaskRecord } from './records.ts';

/** Rows that a commit must write, collected while events are applied; the latest record of each id wins. */
export class Changes {
  readonly newAgents = new Map<string, AgentRecord>();
  readonly agents = new Map<string, AgentRecord>();
  readonly removedAgents = new Set<string>();
  readonly leases = new Map<string, LeaseRecord>();
  readonly tasks = new Map<string, TaskRecord>();
  readonly blobs: { readonly taskId: string; readonly kind: BlobKind; readonly json: JsonText | null }[] = [];
  readonly revocations = new Map<number, RevocationRecord>();
  config: ShardConfig | null = null;

  get isEmpty(): boolean {
    return (
      this.newAgents.size === 0 &&
      this.agents.size === 0 &&
      this.removedAgents.size === 0 &&
      this.leases.size === 0 &&
      this.tasks.size === 0 &&
      this.blobs.length === 0 &&
      this.revocations.size === 0 &&
      this.config === null
    );
  }
}
