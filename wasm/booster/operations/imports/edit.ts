import type { Splice } from '../../engine.ts';
import type { Snapshot } from '../../snapshot.ts';
import { refuse } from '../result.ts';
import { analyseScopes } from '../scopes/analyse.ts';
import { type Dialect, type Entry, type ImportedName, keysOf, nameKey, type RawEntry, readEntries, type Style } from './model.ts';
import type { Removal, Request } from './requests.ts';

/** A file between two steps. */
export interface ImportState {
  readonly tree: Snapshot;
  readonly entries: readonly Entry[];
  readonly dialect: Dialect;
  readonly style: Style;
}

export const readState = (tree: Snapshot, dialect: Dialect, style: Style): ImportState => ({
  tree,
  dialect,
  style,
  entries: readEntries(tree, dialect),
});

/** The splices that bring one import in; none if it is there. */
export function addImport(state: ImportState, { tree: given, entry: wanted }: Request): readonly Splice[] {
  const { tree, entries, dialect } = state;
  const missing = wanted.names.filter((name) => !isThere(entries, wanted, name));
  if (
    wanted.names.length > 0
      ? missing.length === 0
      : entries.some((entry) => sameModule(entry, wanted) && entry.names.length === 0)
  )
    return [];
  for (const name of missing) refuseTaken(state, wanted, name);
  const into = entries.find((entry) => dialect.mergeable(entry, { ...wanted, names: missing }));
  const added = into === undefined || missing.length === 0 ? null : dialect.addNames(tree, into, missing);
  if (added !== null) return added;
  return [insertion(state, wanted, textOf(state, given, wanted, missing))];
}

const sameModule = (a: RawEntry, b: RawEntry): boolean => a.form === b.form && a.module === b.module;

/** It is imported already; a value can be used as a type, too. */
function isThere(entries: readonly Entry[], wanted: RawEntry, name: ImportedName): boolean {
  return entries.some(
    (entry) =>
      entry.module === wanted.module &&
      (entry.form === wanted.form || (wanted.form === 'type' && entry.form === 'import')) &&
      entry.names.some(
        (one) =>
          one.imported === name.imported &&
          one.local === name.local &&
          (!one.typeOnly || name.typeOnly || wanted.form === 'type'),
      ),
  );
}

function refuseTaken({ tree, entries }: ImportState, wanted: RawEntry, { local }: ImportedName): void {
  if (local === '' || local === '_') return;
  const other = entries.find((entry) =>
    entry.names.some((name) => name.local === local && !(bindsPackage(wanted, local) && bindsPackage(entry, local))),
  );
  if (other !== undefined) refuse('ambiguous', `'${local}' is already imported by '${tree.text(other.node).slice(0, 120)}'`);
  const declared = analyseScopes(tree)?.bindings.find(
    (one) => one.name === local && one.scope.parent === null && one.kind !== 'import',
  );
  if (declared !== undefined) refuse('ambiguous', `'${local}' is already declared in the file`);
}

/** Python: `import a.b` and `import a.c` both bind the package `a`, which is no conflict. */
const bindsPackage = (entry: RawEntry, local: string): boolean =>
  entry.form === 'import' &&
  entry.names.some((name) => name.local === local && name.imported === entry.module && name.imported.split('.', 1)[0] === local);

function textOf({ dialect, style }: ImportState, given: Snapshot, wanted: RawEntry, missing: readonly ImportedName[]): string {
  const whole = given.text(wanted.node).trim();
  const text =
    missing.length === wanted.names.length
      ? whole
      : dialect.statement(
          {
            module: wanted.module,
            names: missing.filter((name) => name.imported !== 'default' && name.imported !== '*').map((name) => name.text),
            default: missing.find((name) => name.imported === 'default')?.local,
            namespace: missing.find((name) => name.imported === '*')?.local,
            typeOnly: wanted.form === 'type',
          },
          style,
        );
  if (text === null) return refuse('ambiguous', `part of '${whole.slice(0, 120)}' is there already`);
  const styled = dialect.restyle?.(wanted, text, style) ?? text;
  return styled.startsWith('"') ? `import ${styled}` : styled;
}

/** Where a new statement goes: in its block, in the block's order if it has one. */
function insertion(state: ImportState, wanted: RawEntry, text: string): Splice {
  const { tree, entries, dialect, style } = state;
  const [only] = entries;
  if (only === undefined) return firstInsertion(state, text);
  const widened = entries.length === 1 ? dialect.widen?.(tree, only, wanted, text) : null;
  if (widened !== null && widened !== undefined) return widened;
  const { lineBreak } = style;
  const beside = (entry: Entry): string => dialect.beside?.(tree, entry, text) ?? text;
  const indent = (entry: Entry): string =>
    tree.source.slice(tree.source.lastIndexOf('\n', entry.leadStart - 1) + 1, entry.leadStart);
  const place = (entry: Entry): Entry =>
    entry.ownLines ? entry : refuse('ambiguous', 'the imports share their lines with other code');
  const after = (entry: Entry, gap = ''): Splice => {
    const at = place(entry).tailEnd;
    return { start: at, end: at, text: lineBreak + gap + indent(entry) + beside(entry) };
  };
  const before = (entry: Entry, gap = ''): Splice => {
    const at = place(entry).leadStart;
    return { start: at, end: at, text: beside(entry) + lineBreak + gap + indent(entry) };
  };
  const groups = groupsOf(entries).filter((group) => !group.some((entry) => entry.barrier));
  const section = dialect.section(wanted);
  const last = entries.at(-1) ?? only;
  if (wanted.barrier || groups.length === 0) return after(last);
  const sections = groups.map((group) => new Set(group.map((entry) => dialect.section(entry))));
  let chosen = sections.findIndex((one) => one.has(section));
  if (chosen < 0 && groups.length === 1 && (sections[0]?.size ?? 0) > 1) chosen = 0;
  if (chosen < 0) {
    const lower = sections.findLastIndex((one) => Math.max(...one) < section);
    const neighbour = groups[Math.max(0, lower)];
    const edge = lower < 0 ? neighbour?.[0] : neighbour?.at(-1);
    if (edge === undefined) return after(last);
    const gap = dialect.newBlocks ? lineBreak : '';
    return lower < 0 ? before(edge, gap) : after(edge, gap);
  }
  const group = groups[chosen] ?? [];
  const sorted = group.every((entry, index) => index === 0 || dialect.compare(group[index - 1] ?? entry, entry) <= 0);
  const next = sorted ? group.find((entry) => dialect.compare(entry, wanted) > 0) : undefined;
  return next === undefined ? after(group.at(-1) ?? last) : before(next);
}

function firstInsertion({ tree, dialect, style }: ImportState, text: string): Splice {
  const { lineBreak } = style;
  let at = dialect.firstPlace(tree);
  if (at === 0 && tree.source.startsWith('\ufeff')) at = 1;
  const rest = tree.source.slice(at);
  if (at <= 1)
    return { start: at, end: at, text: text + lineBreak + (/^\s*\n/.test(rest) || rest.trim() === '' ? '' : lineBreak) };
  const blankAfter = /^[ \t]*\r?\n[ \t]*(\r?\n|$)/.test(rest);
  if (rest.trim() === '') return { start: at, end: at, text: lineBreak + lineBreak + text + (rest === '' ? lineBreak : '') };
  return { start: at, end: at, text: lineBreak + lineBreak + text + (blankAfter ? '' : lineBreak) };
}

export function groupsOf(entries: readonly Entry[]): readonly (readonly Entry[])[] {
  const groups = new Map<number, Entry[]>();
  for (const entry of entries) groups.set(entry.group, [...(groups.get(entry.group) ?? []), entry]);
  return [...groups.values()];
}

/** The splices that take an import out; none if it is not there. What is still used is refused unless it comes back. */
export function removeImport(state: ImportState, removal: Removal, comesBack: ReadonlySet<string>): readonly Splice[] {
  const { tree, entries, dialect } = state;
  const splices: Splice[] = [];
  for (const entry of entries) {
    const gone = namesToRemove(entry, removal);
    if (gone === null) continue;
    for (const name of gone) refuseUsed(state, entry, name, comesBack);
    splices.push(
      ...(gone.length === entry.names.length
        ? [deletion(state, entry)]
        : partOf(dialect.removeNames(tree, entry, gone), tree, entry)),
    );
  }
  return splices;
}

/** Which names of the entry are meant: null for none of it, all of them for the whole statement. */
function namesToRemove(entry: Entry, removal: Removal): readonly ImportedName[] | null {
  if ('bare' in removal) {
    const named = entry.names.filter((name) => name.local === removal.bare);
    if (named.length > 0) return named;
    return entry.module === removal.bare ||
      entry.names.some((name) => `${entry.module}.${name.imported}` === removal.bare) ||
      pathIs(entry, removal.bare)
      ? entry.names
      : null;
  }
  const wanted = new Set(keysOf(removal.entry));
  if (entry.names.length === 0) return keysOf(entry).some((key) => wanted.has(key)) ? [] : null;
  const named = entry.names.filter((name) => wanted.has(nameKey(entry, name)));
  return named.length > 0 ? named : null;
}

const pathIs = (entry: Entry, path: string): boolean =>
  entry.names.length === 1 && `${entry.module}::${entry.names[0]?.imported ?? ''}` === path;

function partOf(splices: readonly Splice[] | null, tree: Snapshot, entry: Entry): readonly Splice[] {
  return splices ?? refuse('ambiguous', `'${tree.text(entry.node).slice(0, 120)}' cannot be taken apart`);
}

function refuseUsed({ tree, entries }: ImportState, entry: Entry, { local }: ImportedName, comesBack: ReadonlySet<string>): void {
  if (local === '' || comesBack.has(local)) return;
  // Python: another `import a.x` still binds `a`.
  if (entries.some((other) => other !== entry && other.names.some((name) => name.local === local))) return;
  const use = analyseScopes(tree)?.occurrences.find(
    (one) =>
      one.binding?.kind === 'import' &&
      one.binding.name === local &&
      one.binding.scope.parent === null &&
      (one.start < entry.start || one.start >= entry.end),
  );
  if (use === undefined) return;
  const before = tree.source.slice(0, use.start).split('\n');
  refuse('ambiguous', `'${local}' is still used`, {
    candidates: [{ line: before.length, column: (before.at(-1)?.length ?? 0) + 1, text: tree.source.slice(use.start, use.end) }],
  });
}

/** Takes a whole statement out with its line, and one of two blank lines that would meet. Comments above it stay. */
function deletion({ tree, entries }: ImportState, entry: Entry): Splice {
  if (!entry.ownLines) return refuse('ambiguous', 'the import shares its line with other code');
  const { source } = tree;
  // The last line of a block in parentheses goes with them.
  const parent = tree.parent(entry.node);
  const alone =
    tree.type(parent) === 'import_spec_list' && entries.filter((other) => tree.parent(other.node) === parent).length === 1;
  const declaration = tree.parent(parent);
  const start = source.lastIndexOf('\n', (alone ? tree.start(declaration) : entry.start) - 1) + 1;
  let end = alone ? tree.end(declaration) : entry.tailEnd;
  const lineEnd = source.indexOf('\n', end);
  end = lineEnd < 0 ? source.length : lineEnd + 1;
  const blankBefore = source.slice(0, start).trim() === '' || /\n[ \t]*\r?\n$/.test(source.slice(0, start));
  const blankAfter = /^[ \t]*\r?\n/.exec(source.slice(end));
  if (blankBefore && blankAfter !== null) end += blankAfter[0].length;
  return { start, end, text: '' };
}

/** One pair of statements that say the same or can be one; none when all is said once. */
export function dedupeOnce(state: ImportState): readonly Splice[] {
  const { tree, entries, dialect } = state;
  for (const [index, entry] of entries.entries()) {
    const earlier = entries.slice(0, index).filter((other) => other.run === entry.run && tree.parent(other.node) >= 0);
    const seen = new Set(earlier.flatMap(keysOf));
    const commented =
      entry.leadStart < entry.start || tree.source.slice(entry.end, entry.tailEnd).trim().replaceAll(';', '') !== '';
    if (entry.names.length === 0) {
      if (seen.has(keysOf(entry)[0] ?? '') && !commented && !entry.opaque) return [deletion(state, entry)];
      continue;
    }
    const own = new Set<string>();
    const gone = entry.names.filter((name) => {
      const key = nameKey(entry, name);
      if (seen.has(key) || own.has(key)) return true;
      own.add(key);
      return false;
    });
    if (gone.length > 0 && !entry.opaque) {
      if (gone.length < entry.names.length) {
        const splices = dialect.removeNames(tree, entry, gone);
        if (splices !== null) return splices;
      } else if (!commented) return [deletion(state, entry)];
    }
    const into = earlier.find((other) => dialect.mergeable(other, entry));
    const added =
      into === undefined || commented || gone.length > 0 || !entry.ownLines ? null : dialect.addNames(tree, into, entry.names);
    if (added !== null) return [...added, deletion(state, entry)];
  }
  return [];
}

/** The splices that put each block and each list in order. */
export function sortImports({ tree, entries, dialect }: ImportState): readonly Splice[] {
  const { source } = tree;
  const splices: Splice[] = [];
  for (const group of groupsOf(entries)) {
    const sorted = group.toSorted((a, b) => dialect.compare(a, b));
    const texts = new Map(group.map((entry) => [entry, withSortedNames(tree, dialect, entry)]));
    if (sorted.some((entry, index) => entry !== group[index]) && group.some((entry) => !entry.ownLines)) {
      refuse('ambiguous', 'the imports share their lines with other code');
    }
    for (const [index, slot] of group.entries()) {
      const text = texts.get(sorted[index] ?? slot) ?? '';
      if (text !== source.slice(slot.leadStart, slot.tailEnd)) splices.push({ start: slot.leadStart, end: slot.tailEnd, text });
    }
  }
  return splices;
}

/** The statement with its comments, the names of its list in order; layout and commas stay where they are. */
function withSortedNames(tree: Snapshot, { compareNames }: Dialect, entry: Entry): string {
  const { source } = tree;
  const members = entry.names.filter(
    (name) =>
      name.node >= 0 &&
      /^(import_specifier|dotted_name|aliased_import|identifier|self|use_as_clause)$/.test(tree.type(name.node)),
  );
  const isList = members.every((name) => tree.parent(name.node) === tree.parent(members[0]?.node ?? 0));
  const main = members.filter((name) => name.imported !== 'default' || tree.type(name.node) === 'import_specifier');
  if (compareNames === null || entry.opaque || !isList || main.length < 2) return source.slice(entry.leadStart, entry.tailEnd);
  const sorted = main.toSorted(compareNames);
  let text = '';
  let at = entry.leadStart;
  for (const [index, slot] of main.entries()) {
    text += source.slice(at, tree.start(slot.node)) + tree.text((sorted[index] ?? slot).node);
    at = tree.end(slot.node);
  }
  return text + source.slice(at, entry.tailEnd);
}
