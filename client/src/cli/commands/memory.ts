import { readFileSync, writeFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import { MEMORY_LEVELS, type MemoryLevel } from '../../../../shared/schemas/memory.ts';
import { SwarmMemory } from '../../swarm-memory.ts';
import type { MemoryEntry } from '../../types.ts';
import { contextOf, type Context } from '../context.ts';
import { UsageError } from '../errors.ts';
import { ago, clean, type Output } from '../output.ts';
import { durationMs, list, wholeNumber } from '../parse.ts';
import { payloadOf } from '../payload.ts';
import { take } from '../take.ts';

interface SwarmOptions {
  readonly swarm: string;
}
interface SetOptions extends SwarmOptions {
  readonly level?: MemoryLevel;
  readonly ttl?: number;
  readonly tag?: readonly string[];
  readonly ifVersion?: number;
}
interface ListOptions extends SwarmOptions {
  readonly prefix?: string;
  readonly owner?: string;
  readonly level?: MemoryLevel;
  readonly tag?: string;
  readonly limit: number;
}
interface SettingsOptions extends SwarmOptions {
  readonly quorum?: number;
  readonly majority?: number;
  readonly index?: readonly string[];
  readonly shards?: number;
}
interface GrantOptions extends SwarmOptions {
  readonly level?: MemoryLevel;
  readonly read?: readonly string[];
  readonly write?: readonly string[];
  readonly delete?: readonly string[];
}
interface EraseOptions extends SwarmOptions {
  readonly owner?: string;
  readonly prefix?: string;
  readonly reason?: string;
}

const level = (): Option => new Option('--level <level>', 'who may read').choices(MEMORY_LEVELS);

function memoryOf(command: Command): Context & { readonly memory: SwarmMemory } {
  const context = contextOf(command);
  const { swarm } = command.optsWithGlobals<SwarmOptions>();
  return { ...context, memory: new SwarmMemory({ swarm, fleet: context.fleet, region: context.region }) };
}

/** Every subcommand has the swarm, so that it may stand behind it. */
function sub(parent: Command, usage: string, description: string): Command {
  const command = parent.command(usage).description(description);
  return command.addOption(new Option('--swarm <swarm>', 'whose memory').env('FLEET_SWARM').default('default'));
}

export function memoryCommand(): Command {
  const memory = new Command('memory').description('what a swarm knows: set, get, list, search, grant and more');
  values(memory);
  rights(memory);
  operations(memory);
  return memory;
}

function values(memory: Command): void {
  sub(memory, 'set <key> <value>', 'store a value: JSON, text, @file or @- for standard input')
    .addOption(level())
    .option('--ttl <duration>', 'how long it lives', durationMs)
    .option('--tag <tag>', 'repeatable', list)
    .option('--if-version <n>', 'only if it has this version; 0: only if it is new', wholeNumber)
    .action(async (key: string, value: string, options: SetOptions, command: Command) => {
      const { memory: m, output } = memoryOf(command);
      const { level: at, ttl: ttlMs, tag, ifVersion } = options;
      const store = {
        ...(at === undefined ? {} : { level: at }),
        ...(ttlMs === undefined ? {} : { ttlMs }),
        ...(tag === undefined ? {} : { tags: [...tag] }),
        ...(ifVersion === undefined ? {} : { ifVersion }),
      };
      const entry = await m.store(key, await payloadOf({ payload: value }), store);
      output.show(entry, () => `${clean(entry.key)} version ${entry.version}, ${entry.level}, ${entry.region}`);
    });
  sub(memory, 'get <key>', 'print a value; with -o json the whole entry')
    .option('--owner <id>', 'of several entries of this key, that of this owner')
    .action(async (key: string, options: { readonly owner?: string }, command: Command) => {
      const { memory: m, output } = memoryOf(command);
      const entry = await m.entry(key, { owner: options.owner });
      output.show(entry, () => (typeof entry.value === 'string' ? entry.value : JSON.stringify(entry.value, null, 2)));
    });
  sub(memory, 'delete <key>', 'delete an entry with its history').action(async (key: string, _: unknown, command: Command) => {
    const { memory: m, output } = memoryOf(command);
    await m.delete(key);
    output.show({ key, deleted: true }, () => `${clean(key)} deleted`);
  });
  sub(memory, 'list', 'list entries')
    .option('--prefix <prefix>')
    .option('--owner <id>')
    .addOption(level())
    .option('--tag <tag>')
    .option('--limit <n>', 'at most so many', wholeNumber, 100)
    .action(async (options: ListOptions, command: Command) => {
      const { memory: m, output } = memoryOf(command);
      const { swarm: _swarm, limit, ...filter } = options;
      const { data, more } = await take(m.entries({ ...filter, values: false }), limit);
      output.show(data, () => tableOf(data, output));
      if (more) output.note(output.colors.dim(`the first ${limit}; --limit shows more`));
    });
  sub(memory, 'search <query>', 'entries with all the words')
    .option('--prefix <prefix>')
    .option('--limit <n>', 'at most so many', wholeNumber, 10)
    .action(async (query: string, options: ListOptions, command: Command) => {
      const { memory: m, output } = memoryOf(command);
      const found = await m.search(query, {
        limit: options.limit,
        ...(options.prefix === undefined ? {} : { prefix: options.prefix }),
      });
      output.show(found, () => tableOf(found, output));
    });
  sub(memory, 'history <key>', 'the versions of an entry').action(async (key: string, _: unknown, command: Command) => {
    const { memory: m, output } = memoryOf(command);
    const versions = await m.history(key);
    const nowMs = Date.now();
    output.show(versions, () =>
      output.table(
        ['version', 'level', 'written by', 'when', 'value'],
        versions.map((v) => [
          v.version,
          v.level,
          clean(v.writtenBy),
          ago(v.writtenAtMs, nowMs),
          clean(JSON.stringify(v.value)).slice(0, 60),
        ]),
      ),
    );
  });
  sub(memory, 'rollback <key> <version>', 'make an older version the present one again').action(
    async (key: string, version: string, _: unknown, command: Command) => {
      const { memory: m, output } = memoryOf(command);
      const entry = await m.rollback(key, wholeNumber(version));
      output.show(entry, () => `${clean(key)} version ${entry.version}`);
    },
  );
}

function rights(memory: Command): void {
  sub(memory, 'permissions <key>', 'who may do what with an entry').action(async (key: string, _: unknown, command: Command) => {
    const { memory: m, output } = memoryOf(command);
    const permissions = await m.getPermissions(key);
    output.show(permissions, () => output.fields(Object.entries(permissions)));
  });
  sub(memory, 'grant <key>', 'set level and lists of an entry as a whole')
    .addOption(level())
    .option('--read <ids>', 'agents, or swarm, or team; repeatable', list)
    .option('--write <ids>', 'repeatable', list)
    .option('--delete <ids>', 'repeatable', list)
    .action(async (key: string, options: GrantOptions, command: Command) => {
      const { memory: m, output } = memoryOf(command);
      const before = await m.getPermissions(key);
      const after = {
        level: options.level ?? before.level,
        read: [...(options.read ?? [])],
        write: [...(options.write ?? [])],
        delete: [...(options.delete ?? [])],
      };
      await m.setPermissions(key, after);
      output.show(after, () => output.fields(Object.entries(after)));
    });
  sub(memory, 'claims [path]', 'live claims, all or those that meet a path').action(
    async (path: string | undefined, _: unknown, command: Command) => {
      const { memory: m, output } = memoryOf(command);
      const claims = await m.claims(path);
      output.show(claims, () =>
        output.table(
          ['id', 'mode', 'holder', 'token', 'until', 'paths'],
          claims.map((c) => [
            c.id,
            c.mode,
            clean(c.holder),
            c.fencingToken,
            new Date(c.expiresAtMs).toISOString(),
            clean(c.paths.join(' ')),
          ]),
        ),
      );
    },
  );
}

function operations(memory: Command): void {
  sub(memory, 'status', 'how the memory stands').action(async (_: unknown, command: Command) => {
    const { memory: m, output } = memoryOf(command);
    const status = await m.status();
    const { agents, tasks, metrics, ...plain } = status;
    output.show(status, () =>
      output.fields([...Object.entries(plain), ['agents', agents.length], ['tasks', tasks.length], ...Object.entries(metrics)]),
    );
  });
  sub(memory, 'settings', 'show the settings, or change those that are named')
    .option('--quorum <n>', 'agents that must have voted', wholeNumber)
    .option('--majority <share>', 'share of all confidence that decides', Number)
    .option('--index <prefix>', 'beginning of keys whose text is indexed; repeatable', list)
    .option('--shards <n>', 'objects to spread the entries over; before anything is written', wholeNumber)
    .action(async ({ swarm: _swarm, index, ...named }: SettingsOptions, command: Command) => {
      const { memory: m, output } = memoryOf(command);
      const changes = { ...named, ...(index === undefined ? {} : { textIndex: [...index] }) };
      const before = await m.getSettings();
      const settings = Object.keys(changes).length === 0 ? before : await m.putSettings({ ...before, ...changes });
      output.show(settings, () => output.fields(Object.entries(settings)));
    });
  sub(memory, 'quarantine <agent>', 'hide what an agent wrote')
    .option('--release', 'end it')
    .option('--reason <text>')
    .action(async (agentId: string, options: { readonly release?: boolean; readonly reason?: string }, command: Command) => {
      const { memory: m, output } = memoryOf(command);
      const done = await m.quarantine({
        agentId,
        ...(options.release ? { release: true } : {}),
        ...(options.reason ? { reason: options.reason } : {}),
      });
      output.show(done, () => output.fields(Object.entries(done)));
    });
  sub(memory, 'erase [keys...]', 'erase for good, by keys, owner or prefix; prints the receipt')
    .option('--owner <id>')
    .option('--prefix <prefix>')
    .option('--reason <text>')
    .action(async (keys: readonly string[], options: EraseOptions, command: Command) => {
      const { memory: m, output } = memoryOf(command);
      const { owner, prefix, reason } = options;
      const what =
        keys.length > 0 ? { keys: [...keys] } : owner !== undefined ? { owner } : prefix !== undefined ? { prefix } : null;
      if (what === null) throw new UsageError('Say what to erase: keys, --owner or --prefix.');
      const receipt = await m.erase({ ...what, ...(reason === undefined ? {} : { reason }) });
      output.show(receipt, () => output.fields(Object.entries(receipt)));
    });
  sub(memory, 'export <file>', 'write a SQLite file of what may be read')
    .option('--shard <n>', 'of a memory of several shards, which one', wholeNumber)
    .action(async (file: string, { shard }: { readonly shard?: number }, command: Command) => {
      const { memory: m, output } = memoryOf(command);
      const bytes = await m.exportFile({ shard });
      writeFileSync(file, bytes, { mode: 0o600 });
      output.show({ file, bytes: bytes.length }, () => `${file}: ${bytes.length} bytes`);
    });
  sub(memory, 'restore <point>', 'go back to the state before an import; status lists the points').action(
    async (point: string, _: unknown, command: Command) => {
      const { memory: m, output } = memoryOf(command);
      const done = await m.restore(point);
      output.show(done, () => output.fields(Object.entries(done)));
    },
  );
  sub(memory, 'import <file>', 'take over the entries of a SQLite file').action(
    async (file: string, _: unknown, command: Command) => {
      const { memory: m, output } = memoryOf(command);
      const done = await m.importFile(new Uint8Array(readFileSync(file)));
      output.show(done, () => output.fields(Object.entries(done)));
    },
  );
}

function tableOf(entries: readonly MemoryEntry[], output: Output): string {
  const nowMs = Date.now();
  return output.table(
    ['key', 'level', 'version', 'owner', 'updated', 'tags'],
    entries.map((e) => [clean(e.key), e.level, e.version, clean(e.owner), ago(e.updatedAtMs, nowMs), clean(e.tags.join(' '))]),
  );
}
