import type { Snapshot } from '../snapshot.ts';
import { countByPath, type Declaration } from './declarations.ts';
import { isMarkerComment } from './markers.ts';

export interface DeclarationChange {
  readonly lost: readonly Declaration[];
  readonly gained: readonly Declaration[];
  /** Paths that stand there more often than before, and more than once. */
  readonly duplicated: readonly string[];
}

/** What became of the declarations. A changed signature (same kind and name, same place) is neither lost nor gained. */
export function compareDeclarations(before: readonly Declaration[], after: readonly Declaration[]): DeclarationChange {
  const countsBefore = countByPath(before);
  const countsAfter = countByPath(after);
  const lost = surplus(before, countsAfter);
  const gained = surplus(after, countsBefore);
  const stillGained = [...gained];
  const stillLost = lost.filter((declaration) => {
    const path = plainPath(declaration);
    const at = stillGained.findIndex((other) => plainPath(other) === path);
    // Among overloads nobody can tell a changed signature from one that went while another came.
    if (at < 0 || before.filter((other) => plainPath(other) === path).length !== 1) return true;
    if (after.filter((other) => plainPath(other) === path).length !== 1) return true;
    stillGained.splice(at, 1);
    return false;
  });
  // `const { a, b } = …` that now takes more, or less, of the same.
  const isPattern = ({ key }: Declaration): boolean => /^variable:[{[]/.test(key);
  const gone = stillLost.filter((declaration) => {
    if (!isPattern(declaration)) return true;
    const names = new Set(wordsOf(declaration));
    const at = stillGained.findIndex(
      (other) =>
        isPattern(other) && other.parent < 0 === declaration.parent < 0 && wordsOf(other).some((word) => names.has(word)),
    );
    if (at < 0) return true;
    stillGained.splice(at, 1);
    return false;
  });
  const duplicated = [...countsAfter]
    .filter(([path, count]) => count > 1 && count > (countsBefore.get(path) ?? 0))
    .map(([path]) => path);
  return { lost: gone, gained: stillGained, duplicated };
}

const wordsOf = ({ name }: Declaration): string[] => name.match(/[\p{L}\p{N}_$]+/gu) ?? [];

/** The path without what tells overloads and accessors apart. */
const plainPath = ({ path }: Declaration): string => path.replaceAll(/[!@(][^/]*/g, '');

function surplus(declarations: readonly Declaration[], others: ReadonlyMap<string, number>): Declaration[] {
  const seen = new Map<string, number>();
  return declarations.filter(({ path }) => {
    const count = (seen.get(path) ?? 0) + 1;
    seen.set(path, count);
    return count > (others.get(path) ?? 0);
  });
}

const commentTypes = new WeakMap<object, readonly boolean[]>();

/** Comments that stand for code. */
export function countMarkers(snapshot: Snapshot): number {
  const { grammar } = snapshot;
  let isComment = commentTypes.get(grammar);
  if (isComment === undefined) {
    isComment = grammar.typeNames.map((name) => name.includes('comment'));
    commentTypes.set(grammar, isComment);
  }
  let count = 0;
  for (let node = 0; node < snapshot.count; node += 1) {
    if (isComment[snapshot.types[node] ?? 0] === true && isMarkerComment(snapshot.text(node))) count += 1;
  }
  return count;
}

/** Whether a stretch of the source is made of whole nodes: statements, members, clauses, items of a list. */
export function isWhole(snapshot: Snapshot, start: number, end: number): boolean {
  const source = snapshot.source;
  let from = start;
  let to = end;
  while (from < to && /\s/.test(source[from] ?? '')) from += 1;
  while (to > from && /\s/.test(source[to - 1] ?? '')) to -= 1;
  if (from === to) return true;
  const cover = snapshot.nodeAt(from, to);
  if (snapshot.start(cover) >= from && snapshot.end(cover) <= to) return true;
  return snapshot.children(cover).every((child) => {
    const outside = snapshot.end(child) <= from || snapshot.start(child) >= to;
    return outside || (snapshot.start(child) >= from && snapshot.end(child) <= to);
  });
}

const END_OF_FLOW = /^(?:return_statement|throw_statement|raise_statement|break_statement|continue_statement)$/;

/** Statements behind one that ends its block: a new `return` beside the old one that it was to replace. */
export function countUnreachable(snapshot: Snapshot): number {
  let ends = endTypes.get(snapshot.grammar);
  if (ends === undefined) {
    ends = snapshot.grammar.typeNames.map((name) => END_OF_FLOW.test(name));
    endTypes.set(snapshot.grammar, ends);
  }
  let count = 0;
  for (let node = 0; node < snapshot.count; node += 1) {
    if (ends[snapshot.types[node] ?? 0] !== true) continue;
    let next = snapshot.nextSibling(node);
    while (next >= 0 && (!snapshot.isNamed(next) || snapshot.type(next).includes('comment'))) next = snapshot.nextSibling(next);
    if (next >= 0 && /statement|expression|declaration|assignment/.test(snapshot.type(next))) count += 1;
  }
  return count;
}

const endTypes = new WeakMap<object, readonly boolean[]>();

/** What Python takes for an error and the grammar does not: a block without a statement, a statement deeper than its neighbours. */
export function countBlockFaults(snapshot: Snapshot): number {
  let count = 0;
  for (let node = 0; node < snapshot.count; node += 1) {
    const type = snapshot.type(node);
    if (type !== 'block' && type !== 'module') continue;
    const statements = snapshot.namedChildren(node).filter((child) => !snapshot.type(child).includes('comment'));
    if (statements.length === 0 && type === 'block') count += 1;
    let depth: string | null = null;
    for (const statement of statements) {
      const start = snapshot.start(statement);
      const before = snapshot.source.slice(snapshot.source.lastIndexOf('\n', start - 1) + 1, start);
      if (before.trim() !== '') continue;
      depth ??= before;
      if (before !== depth) count += 1;
    }
  }
  return count;
}
