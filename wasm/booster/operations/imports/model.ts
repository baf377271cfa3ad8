import type { Splice } from '../../engine.ts';
import type { Snapshot } from '../../snapshot.ts';
import type { ImportParts } from '../task.ts';

/** One thing that a statement imports. */
export interface ImportedName {
  /** Its name in the module; `*` for all of it, `default` for JavaScript's default, empty if the statement names the module only. */
  readonly imported: string;
  /** The name it has in this file; empty if it binds none. */
  readonly local: string;
  /** TypeScript: marked by itself as a type (`{ type A }`). */
  readonly typeOnly: boolean;
  /** As it is written, for the list of another statement. */
  readonly text: string;
  /** The part of a list that it is; -1 where it is not part of one. */
  readonly node: number;
}

/** One import statement (in Go: one line of it), as a dialect reads it. */
export interface RawEntry {
  /** The statement's own node, in Go the spec's. */
  readonly node: number;
  /** What kind of statement: statements of different forms are not merged. */
  readonly form: string;
  readonly module: string;
  readonly names: readonly ImportedName[];
  /** Its order counts: nothing moves past it. */
  readonly barrier: boolean;
  /** Has something inside that a rebuilt statement would lose, or is otherwise left alone. */
  readonly opaque: boolean;
}

export interface Entry extends RawEntry {
  /** With the comments and attributes directly above it. */
  readonly leadStart: number;
  readonly start: number;
  readonly end: number;
  /** With a comment behind it on its line. */
  readonly tailEnd: number;
  /** Entries with nothing but imports and comments between them. */
  readonly run: number;
  /** Entries of one run with no blank line, free comment or barrier between them. */
  readonly group: number;
  /** Nothing else stands on its lines. */
  readonly ownLines: boolean;
}

export interface Style {
  readonly quote: string;
  readonly semicolon: string;
  readonly lineBreak: string;
}

/** What a language's imports look like. */
export interface Dialect {
  /** Every import at the top level of the file, in document order. */
  entries(tree: Snapshot): readonly RawEntry[];
  /** Makes a statement of parts; null if the language has no such import. */
  statement(parts: ImportParts, style: Style): string | null;
  /** A file that holds nothing but this code. */
  asFile(code: string): string;
  /** The statement as it is written in this file, if that is not how it was given. */
  restyle?(entry: RawEntry, text: string, style: Style): string;
  /** Whether names of `from` could stand in the statement `into`. */
  mergeable(into: RawEntry, from: RawEntry): boolean;
  /** Adds names to a statement; null if its form does not let it. */
  addNames(tree: Snapshot, entry: RawEntry, names: readonly ImportedName[]): readonly Splice[] | null;
  /** Takes some but not all of the names out; null if the form does not let it. */
  removeNames(tree: Snapshot, entry: RawEntry, names: readonly ImportedName[]): readonly Splice[] | null;
  /** Order within a group. */
  compare(a: RawEntry, b: RawEntry): number;
  /** Order of names within a list; null where lists are left as they are. */
  compareNames: ((a: ImportedName, b: ImportedName) => number) | null;
  /** Which block of imports a statement belongs to where files keep them apart; lower ones come first. */
  section(entry: RawEntry): number;
  /** Whether a section without a block gets one of its own. */
  readonly newBlocks: boolean;
  /** The statement as it is written next to an entry, where that depends on it. */
  beside?(tree: Snapshot, neighbour: RawEntry, text: string): string;
  /** Makes room for a second import where the only one has none. */
  widen?(tree: Snapshot, only: RawEntry, added: RawEntry, text: string): Splice | null;
  /** Where the first import of a file goes. */
  firstPlace(tree: Snapshot): number;
}

export const nameKey = (entry: RawEntry, name: ImportedName): string =>
  [entry.form, entry.module, name.imported, name.local, name.typeOnly ? 'type' : ''].join('\n');

export const keysOf = (entry: RawEntry): readonly string[] =>
  entry.names.length === 0 ? [[entry.form, entry.module].join('\n')] : entry.names.map((name) => nameKey(entry, name));

export const isComment = (tree: Snapshot, node: number): boolean => /comment/.test(tree.type(node));

/** Comments inside a node, which no rebuilt text would have. */
export function hasComment(tree: Snapshot, node: number): boolean {
  for (let inner = node + 1; inner < tree.after(node); inner++) if (isComment(tree, inner)) return true;
  return false;
}

/** Compares without regard to case, then with it. */
export function compareText(a: string, b: string): number {
  const [x, y] = [a.toLowerCase(), b.toLowerCase()];
  return x < y ? -1 : x > y ? 1 : a < b ? -1 : a > b ? 1 : 0;
}

/** The entries of a file with what surrounds them. */
export function readEntries(tree: Snapshot, dialect: Dialect): readonly Entry[] {
  const raw = dialect.entries(tree);
  const found: Entry[] = [];
  let run = 0;
  let group = 0;
  for (const entry of raw) {
    const start = tree.start(entry.node);
    const end = statementEnd(tree, entry.node);
    const leadStart = leadOf(tree, entry.node);
    const tailEnd = tailOf(tree, entry.node, end);
    const before = found.at(-1);
    if (before !== undefined) {
      const between = whatIsBetween(tree, before, entry.node);
      const gap = tree.source.slice(before.tailEnd, leadStart);
      if (between === 'code') {
        run++;
        group++;
      } else if (
        between === 'comment' ||
        /\n[ \t]*\r?\n/.test(gap) ||
        before.barrier ||
        entry.barrier ||
        tree.parent(before.node) !== tree.parent(entry.node)
      )
        group++;
    }
    const lineStart = tree.source.lastIndexOf('\n', leadStart - 1) + 1;
    const rest = /^[^\n]*/.exec(tree.source.slice(tailEnd))?.[0] ?? '';
    const ownLines = tree.source.slice(lineStart, leadStart).trim() === '' && rest.trim() === '';
    found.push({ ...entry, start, end, leadStart, tailEnd, run, group, ownLines });
  }
  return found;
}

/** Go and Python keep the line's end or semicolon outside the statement. */
function statementEnd(tree: Snapshot, node: number): number {
  let end = tree.end(node);
  while (end > tree.start(node) && /\s/.test(tree.source.charAt(end - 1))) end--;
  return end;
}

function previous(tree: Snapshot, node: number): number {
  const siblings = tree.children(tree.parent(node));
  return siblings[siblings.indexOf(node) - 1] ?? -1;
}

function leadOf(tree: Snapshot, node: number): number {
  let start = tree.start(node);
  for (let above = previous(tree, node); above >= 0; above = previous(tree, above)) {
    if (!isComment(tree, above) && !/attribute_item/.test(tree.type(above))) break;
    const aboveEnd = tree.end(above) - (tree.source.charAt(tree.end(above) - 1) === '\n' ? 1 : 0);
    const gap = tree.source.slice(aboveEnd, start);
    const lineStart = tree.source.lastIndexOf('\n', tree.start(above) - 1) + 1;
    const alone = tree.source.slice(lineStart, tree.start(above)).trim() === '';
    if (gap.split('\n').length > 2 || !alone) break;
    start = tree.start(above);
  }
  const above = previous(tree, node);
  // What stands at the top of a file is about the file; an attribute is about its statement.
  const aboutFile = tree.source.slice(0, start).trim() === '' && above >= 0 && isComment(tree, above);
  return aboutFile ? tree.start(node) : start;
}

function tailOf(tree: Snapshot, node: number, end: number): number {
  const siblings = tree.children(tree.parent(node));
  let tail = end;
  for (let index = siblings.indexOf(node) + 1; index < siblings.length; index++) {
    const next = siblings[index] ?? -1;
    if (tree.source.slice(tail, tree.start(next)).includes('\n')) break;
    if (tree.text(next) === ';') tail = tree.end(next);
    else if (isComment(tree, next)) return tree.end(next) - (tree.source.charAt(tree.end(next) - 1) === '\n' ? 1 : 0);
    else break;
  }
  return tail;
}

function whatIsBetween(tree: Snapshot, before: Entry, node: number): 'nothing' | 'comment' | 'code' {
  if (tree.parent(before.node) !== tree.parent(node)) {
    const [from, to] = [tree.end(tree.parent(before.node)), tree.start(tree.parent(node))];
    return tree.source.slice(from, to).trim() === '' ? 'nothing' : 'code';
  }
  const siblings = tree.children(tree.parent(node));
  let free = false;
  for (const sibling of siblings.slice(siblings.indexOf(before.node) + 1, siblings.indexOf(node))) {
    if (isComment(tree, sibling)) free ||= tree.end(sibling) > before.tailEnd && tree.start(sibling) < leadOf(tree, node);
    else if (!/attribute_item/.test(tree.type(sibling)) && !/^[;\s]*$/.test(tree.text(sibling))) return 'code';
  }
  return free ? 'comment' : 'nothing';
}

/** Adds a name to a comma-separated list of nodes, in its order if it has one, in its layout. */
export function addToList(
  tree: Snapshot,
  members: readonly ImportedName[],
  texts: readonly string[],
  compare: (a: string, b: string) => number,
): readonly Splice[] {
  const { source } = tree;
  const written = members.map((member) => tree.text(member.node));
  const sorted = written.every((text, index) => index === 0 || compare(written[index - 1] ?? '', text) <= 0);
  return texts.map((text): Splice => {
    const at = sorted ? members.findIndex((member) => compare(tree.text(member.node), text) > 0) : -1;
    const next = at < 0 ? undefined : members[at];
    const last = members.at(-1);
    if (last === undefined) throw new Error('a list has members');
    const first = members[0] ?? last;
    const lineStart = source.lastIndexOf('\n', tree.start(first.node) - 1) + 1;
    const indent = source.slice(lineStart, tree.start(first.node));
    const ownLine = indent.trim() === '';
    const separator = ownLine ? `,${source.includes('\r\n') ? '\r\n' : '\n'}${indent}` : ', ';
    if (next !== undefined) return { start: tree.start(next.node), end: tree.start(next.node), text: text + separator };
    return { start: tree.end(last.node), end: tree.end(last.node), text: separator + text };
  });
}

/** Takes members out of a comma-separated list, each with one comma and the space beside it. */
export function removeFromList(
  tree: Snapshot,
  members: readonly ImportedName[],
  gone: readonly ImportedName[],
): readonly Splice[] {
  const splices: Splice[] = [];
  for (const [index, member] of members.entries()) {
    if (!gone.includes(member)) continue;
    const next = members[index + 1];
    if (next !== undefined) splices.push({ start: tree.start(member.node), end: tree.start(next.node), text: '' });
    else {
      const kept = members.slice(0, index).findLast((other) => !gone.includes(other));
      const from = kept === undefined ? tree.start(member.node) : tree.end(kept.node);
      const start = splices.at(-1);
      // Those removed just before it end where it begins: one stretch.
      if (start !== undefined && kept !== undefined && start.start >= from) {
        while ((splices.at(-1)?.start ?? -1) >= from) splices.pop();
      }
      splices.push({ start: from, end: tree.end(member.node), text: '' });
    }
  }
  return splices;
}
