import type { Snapshot } from '../snapshot.ts';
import { declarationsOf } from './outline.ts';

/** What a mutating operation shows of its result before it gives it out; the merge engine uses the same names. */
export const PROOF = {
  /** The result has no syntax error that the original had not. */
  parses: 'parses',
  /** Outside the changed stretches the result has the same syntax tree. */
  structure: 'structureKept',
  /** Outside the changed stretches every byte is the same. */
  untouched: 'untouchedIdentical',
  /** Every declaration is still there unless the task removed it. */
  declarations: 'declarationsKept',
  /** Nothing is declared twice that was not before. */
  noDuplicates: 'noNewDuplicates',
  /** Each name refers to the same declaration as before. */
  references: 'referencesKept',
  /** Nothing but imports and their comments changed, and the imports are those asked for. */
  imports: 'importsAsAsked',
  /** Doing it again changes nothing. */
  idempotent: 'idempotent',
} as const;

/** A changed stretch: where it lies in the new text and where it lay in the old one. */
export interface Stretch {
  readonly start: number;
  readonly end: number;
  readonly oldStart: number;
  readonly oldEnd: number;
}

/**
 * Python's blocks without a statement, which its grammar takes and the language does not. (A body of comments only is one,
 * too.)
 */
export function emptyBlocks(tree: Snapshot): readonly number[] {
  const found: number[] = [];
  if (tree.grammar.id !== 'python') return found;
  for (let node = 0; node < tree.count; node++) {
    if (tree.type(node) === 'block' && tree.namedChildren(node).every((child) => tree.type(child) === 'comment'))
      found.push(node);
  }
  return found;
}

/** The stretch is exactly one node or several siblings. */
export function isRowOfNodes(tree: Snapshot, { start, end }: { readonly start: number; readonly end: number }): boolean {
  const cover = tree.nodeAt(start, end);
  if (tree.start(cover) === start && tree.end(cover) === end) return true;
  const inside = tree.children(cover).filter((child) => tree.start(child) < end && tree.end(child) > start);
  const [first, last] = [inside[0], inside.at(-1)];
  return first !== undefined && last !== undefined && tree.start(first) === start && tree.end(last) === end;
}

/**
 * The two trees are the same but for what lies inside the stretches. So a replacement cannot draw its surroundings into
 * itself or fall apart into them: precedence, automatic semicolons and indentation all show as another tree.
 */
export function sameSkeleton(before: Snapshot, after: Snapshot, stretches: readonly Stretch[]): boolean {
  const left = skeletonOf(
    before,
    stretches.map(({ oldStart, oldEnd, start, end }) => ({ start: oldStart, end: oldEnd, empty: start === end })),
  );
  const right = skeletonOf(
    after,
    stretches.map(({ start, end }) => ({ start, end, empty: start === end })),
  );
  return left.length === right.length && left.every((line, index) => line === right[index]);
}

interface Hole {
  readonly start: number;
  readonly end: number;
  /** The stretch is deleted: it leaves nothing behind. */
  readonly empty: boolean;
}

/** The tree in document order as lines of depth, type and leaf text; each stretch is one line, a deleted one is none. */
function skeletonOf(tree: Snapshot, holes: readonly Hole[]): readonly string[] {
  const sorted = holes.toSorted((a, b) => a.start - b.start);
  const lines: string[] = [];
  const depths = new Int32Array(tree.count);
  let next = 0;
  for (let node = 0; node < tree.count; node++) {
    const parent = tree.parent(node);
    const depth = parent < 0 ? 0 : (depths[parent] ?? 0) + 1;
    depths[node] = depth;
    const [start, end] = [tree.start(node), tree.end(node)];
    while ((sorted[next]?.end ?? Number.POSITIVE_INFINITY) <= start && (sorted[next]?.end ?? 0) !== end) next++;
    const hole = sorted[next];
    if (hole !== undefined && hole.start <= start && end <= hole.end && end > start) {
      const line = `${depth} hole ${hole.start}`;
      if (!hole.empty && lines.at(-1) !== line) lines.push(line);
      node = tree.after(node) - 1;
      continue;
    }
    // Where a line ends is seen in what stands on it; the tokens for it come and go with deleted lines.
    const leaf = tree.after(node) === node + 1;
    if (leaf && tree.text(node).trim() === '') continue;
    lines.push(`${depth} ${tree.type(node)}${leaf ? ` ${tree.text(node)}` : ''}`);
  }
  // Offsets differ between the two texts; the order of the stretches does not.
  const order = new Map(sorted.map((hole, index) => [hole.start, index]));
  return lines.map((line) => line.replace(/ hole (\d+)$/, (_, start: string) => ` hole ${order.get(Number(start)) ?? 0}`));
}

/** Declarations with a signature, so that overloads are not duplicates. */
export function declarationKeys(tree: Snapshot): ReadonlyMap<string, number> {
  const declarations = declarationsOf(tree);
  const keys: string[] = [];
  const counts = new Map<string, number>();
  for (const { node, kind, name, parent } of declarations) {
    const parameters = tree.childByField(node, 'parameters');
    const signature = parameters < 0 ? '' : tree.text(parameters).replaceAll(/\s+/g, ' ');
    const key = `${parent < 0 ? '' : (keys[parent] ?? '')}/${kind} ${name}${signature}`;
    keys.push(key);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

/** What is declared more than once afterwards, and more often than before. */
export function newDuplicates(before: Snapshot, after: Snapshot): readonly string[] {
  const old = declarationKeys(before);
  return [...declarationKeys(after)]
    .filter(([key, count]) => count > 1 && count > (old.get(key) ?? 0))
    .map(([key]) => key.slice(key.lastIndexOf('/') + 1));
}
