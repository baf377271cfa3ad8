import type { Snapshot } from '../snapshot.ts';
import type { Reading } from './align-readings.ts';
import type { EditItem } from './edit-items.ts';
import type { Context } from './context.ts';
import { type Declaration, declarationsOf } from './declarations.ts';
import type { EditTree } from './edit-tree.ts';

/**
 * The edit as its syntax tree reads it: which declarations it shows, and on which of its lines each begins and ends. Lines
 * and tree are two independent readings. Where the edit parses, an output must hold each of its declarations from the
 * line that its first line became to the line that its last one became, and each within the one it is within in the edit;
 * a bracket that closes another block, or a method that lands in another class, shows at once.
 */
export interface Structure {
  readonly spans: readonly Span[];
}

interface Span {
  readonly key: string;
  /** Rows of the parsed text: of an edit its items, from 0. */
  readonly first: number;
  readonly last: number;
  /** The span it stands in, or below 0. */
  readonly parent: number;
}

export function structureOf({ language }: Context, { snapshot, firstRow }: EditTree): Structure {
  const spans = spansOf(snapshot, declarationsOf(snapshot, language));
  // The shell that it was parsed in is none of its declarations.
  const shells = firstRow > 0 ? spans.findIndex(({ first }) => first >= firstRow) : 0;
  return {
    spans: (shells < 0 ? [] : spans.slice(shells)).map(({ key, first, last, parent }) => ({
      key,
      first: first - firstRow,
      last: last - firstRow,
      parent: parent - shells,
    })),
  };
}

function spansOf(snapshot: Snapshot, declarations: readonly Declaration[]): Span[] {
  const rows = rowsOf(snapshot.source);
  return declarations.map(({ key, node, parent }) => ({
    key: plain(key),
    first: rowAt(rows, snapshot.start(node)),
    last: rowAt(rows, snapshot.end(node) - 1),
    parent,
  }));
}

/** Whether an output holds the edit's declarations where the reading put their lines. */
export function confirms(
  context: Context,
  structure: Structure,
  items: readonly EditItem[],
  reading: Reading,
  after: Snapshot,
): boolean {
  const rowOf = new Map<number, number>();
  for (const [at, item] of items.entries()) {
    const place = reading.places[at] ?? -1;
    if (item.kind === 'line' && item.row !== undefined && place >= 0) rowOf.set(item.row, place);
  }
  const found = new Map<string, Span>();
  const spans = spansOf(after, declarationsOf(after, context.language));
  for (const span of spans) found.set(`${span.key} ${span.first} ${span.last}`, span);
  return structure.spans.every(({ key, first, last, parent }) => {
    const [from, to] = [rowOf.get(first), rowOf.get(last)];
    // A line the edit shares with a marker has no row of its own.
    if (from === undefined || to === undefined) return true;
    const there = found.get(`${key} ${from} ${to}`);
    if (there === undefined) return false;
    const above = structure.spans[parent];
    return above === undefined || spans[there.parent]?.key === above.key;
  });
}

const plain = (key: string): string => key.replace(/[!@(].*$/, '');

function rowsOf(source: string): number[] {
  const rows = [0];
  for (let at = source.indexOf('\n'); at >= 0; at = source.indexOf('\n', at + 1)) rows.push(at + 1);
  return rows;
}

function rowAt(rows: readonly number[], offset: number): number {
  let [low, high] = [0, rows.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((rows[middle] ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}
