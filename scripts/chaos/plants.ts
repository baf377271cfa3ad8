import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Plugin } from 'esbuild';
import { ROOT } from '../checks.ts';

/** A bug to be planted into the bundle: a harness that never fails proves nothing. The sources stay as they are. */
interface Plant {
  readonly what: string;
  readonly edits: readonly Edit[];
}
export interface Edit {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

const LEASES = 'durable-objects/pool/core/leases.ts';
const RESTORE = 'durable-objects/pool/restore.ts';
const COMMIT = 'durable-objects/lib/group-commit.ts';

export const PLANTS = {
  'stale-release': {
    what: 'the fencing token is not compared',
    edits: [
      {
        file: LEASES,
        find: "lease.fencingToken !== fencingToken || lease.status === 'revoked'",
        replace: "lease.status === 'revoked'",
      },
    ],
  },
  'early-answer': {
    what: 'callers are answered while the transaction is still open',
    edits: [
      {
        file: COMMIT,
        find: 'effects = this.#transact(group);\n        await this.#storage.sync();',
        replace: `effects = [];
        await (this.#storage as unknown as DurableObjectStorage).transaction(async () => {
          const own: (() => void)[] = [];
          this.#effects = own;
          for (const item of group) item.execute();
          this.#effects = null;
          for (const effect of own) effect();
          for (const item of group) item.settle();
          await new Promise((resolve) => setTimeout(resolve, 40));
        });`,
      },
    ],
  },
  'late-expiry': {
    what: 'a lease is accepted a second after its end',
    edits: [
      { file: LEASES, find: ': lease.expiresAtMs) <= nowMs;', replace: ': lease.expiresAtMs + 1_000) <= nowMs;' },
      {
        file: 'durable-objects/pool/core/due.ts',
        find: 'if (lease.expiresAtMs > step.nowMs) {\n    again(lease.expiresAtMs);',
        replace: 'if (lease.expiresAtMs + 1_000 > step.nowMs) {\n    again(lease.expiresAtMs + 1_000);',
      },
    ],
  },
  'tokens-restart': {
    what: 'the last fencing token is not restored after a crash',
    edits: [{ file: RESTORE, find: 'state.lastFence = snapshot.meta.lastFence;', replace: '' }],
  },
  'leases-forgotten': {
    what: 'live leases are not restored after a crash',
    edits: [{ file: RESTORE, find: 'addLease(state, lease);', replace: 'void addLease;' }],
  },
  'keys-forgotten': {
    what: 'idempotency keys are kept in memory only',
    edits: [
      {
        file: 'durable-objects/pool/idempotent-answers.ts',
        find: 'this.#storage = storage;',
        replace: `const kept = new Map<string, never>();
        void storage;
        this.#storage = { answer: (key) => kept.get(key) ?? null, putAnswer: (key, answer) => void kept.set(key, answer as never) };`,
      },
    ],
  },
  'slots-miscounted': {
    what: 'every eighth lease takes no slot',
    edits: [
      {
        file: LEASES,
        find: 'slots: terms.slots,\n    fencingToken',
        replace: 'slots: step.state.lastFence % 8 === 7 ? 0 : terms.slots,\n    fencingToken',
      },
      { file: 'durable-objects/pool/core/views.ts', find: 'slots: lease.slots,', replace: 'slots: lease.slots || 1,' },
    ],
  },
  'no-alarm': {
    what: 'the object is never woken',
    edits: [
      { file: 'durable-objects/pool/pool-object.ts', find: 'void this.ctx.storage.setAlarm(wanted);', replace: 'void wanted;' },
    ],
  },
  'done-twice': {
    what: 'a task that was given back is completed all the same',
    edits: [
      {
        file: 'durable-objects/pool/core/tasks.ts',
        find: 'if (task.fencingToken !== fencingToken || task.allocationId === null) {',
        replace: 'if (task.fencingToken === null) {',
      },
    ],
  },
} as const satisfies Readonly<Record<string, Plant>>;

export type PlantName = keyof typeof PLANTS;
export const isPlant = (name: string): name is PlantName => Object.hasOwn(PLANTS, name);

export const plantPlugin = (name: PlantName): Plugin => editPlugin(`plant ${name}`, PLANTS[name].edits);

/** Replaces the text in what is bundled. A text that is not there any more is an error: the run would prove nothing. */
export function editPlugin(name: string, edits: readonly Edit[]): Plugin {
  const byFile = Map.groupBy(edits, ({ file }) => path.join(ROOT, file));
  return {
    name: name.replaceAll(' ', '-'),
    setup(build) {
      build.onLoad({ filter: /\.ts$/ }, ({ path: file }) => {
        const here = byFile.get(file);
        if (here === undefined) return undefined;
        let contents = readFileSync(file, 'utf8');
        for (const { find, replace } of here) {
          if (!contents.includes(find)) throw new Error(`${name}: ${file} no longer contains ${JSON.stringify(find)}`);
          contents = contents.replace(find, () => replace);
        }
        return { contents, loader: 'ts' };
      });
    },
  };
}
