import type { LanguageId } from '../languages.ts';
import { similarity, tokensOf } from './align-lines.ts';
import type { Context } from './context.ts';
import type { EditTree } from './edit-tree.ts';
import { indentOf } from './text.ts';
import { headOf, matchKids, Side } from './tree-match.ts';
import { endsWithBlock, isCase, isList, isStatementList, isTelling, pieceOf } from './tree-shape.ts';

/**
 * The second merger. It reads a lazy edit as a syntax tree: children of one node are matched by what they declare or say, a
 * marker keeps the original's children up to the next match, and only where markers are left it goes deeper. It knows nothing
 * of lines and prices, so that where both come to one result neither was led astray by its own way of looking.
 *
 * It answers what the result reads like (`readsLike`), or null where anything is not unique: it has no opinion then.
 */
export function treeOpinion(context: Context, tree: EditTree): string | null {
  return new TreeMerge(context, tree).merge();
}

/** A text without what neither merger decides: blank lines, white space, separators. Python keeps its indents. */
export function readsLike(text: string, language: LanguageId): string {
  if (language !== 'python') return text.replaceAll(/[\s,;]+/g, '');
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => indentOf(line) + line.replaceAll(/[\s,;]+/g, ''))
    .join('\n');
}

/** From here on a new statement may as well be the new version of a hidden one beside it. */
const ALIKE_MIN = 0.5;

/** Something is not unique, and the tree has no opinion. */
class Unsure extends Error {}

/** A marker that is no node: an open edge, or one of Python's that reaches into the block before it. */
const MARKER = -1;

interface Edges {
  readonly before: boolean;
  readonly after: boolean;
}

class TreeMerge {
  readonly #context: Context;
  readonly #tree: EditTree;
  readonly #edit: Side;
  readonly #original: Side;
  readonly #open: Uint8Array;
  readonly #isPython: boolean;

  constructor(context: Context, tree: EditTree) {
    this.#context = context;
    this.#tree = tree;
    this.#isPython = context.language === 'python';
    this.#edit = new Side(tree.snapshot, context.language);
    this.#original = new Side(context.parsed.snapshot, context.language, context.declarations);
    this.#open = new Uint8Array(tree.snapshot.count);
    for (const marker of tree.markers) {
      for (let node = marker; node >= 0; node = tree.snapshot.parent(node)) this.#open[node] = 1;
    }
  }

  merge(): string | null {
    const { snapshot } = this.#original;
    const kids = this.#edit.kids(this.#tree.container).filter((node) => this.#edit.snapshot.isNamed(node));
    const container = this.#locate(kids);
    if (container < 0) return null;
    const theirs = this.#original.kids(container);
    const [first, last] = [theirs[0], theirs.at(-1)];
    if (first === undefined || last === undefined || !this.#canHold(container, kids)) return null;
    try {
      const merged = this.#list(kids, theirs, { before: true, after: true });
      const source = this.#context.source;
      const text = source.slice(0, this.#start(first)) + merged + source.slice(snapshot.end(last));
      return readsLike(text, this.#context.language);
    } catch (error) {
      if (error instanceof Unsure) return null;
      throw error;
    }
  }

  /** Whether the edit's outermost nodes are such as stand there: `key: value,` alone reads as a statement with a label. */
  #canHold(container: number, kids: readonly number[]): boolean {
    const { snapshot } = this.#original;
    if (isStatementList(snapshot, container)) return true;
    const types = new Set(this.#original.kids(container).map((kid) => snapshot.types[kid]));
    return kids.every((kid) => this.#tree.markers.has(kid) || types.has(this.#edit.snapshot.types[kid] ?? 0));
  }

  /** Where a node's line begins, if it begins its line. */
  #start(node: number): number {
    const { snapshot } = this.#original;
    const start = snapshot.start(node);
    const line = snapshot.source.lastIndexOf('\n', start - 1) + 1;
    return snapshot.source.slice(line, start).trim() === '' ? line : start;
  }

  /** The one node of the original whose children the edit's outermost ones are; -1 if there is none, or more than one. */
  #locate(kids: readonly number[]): number {
    const { snapshot } = this.#original;
    const wanted = new Map<string, number>();
    const types = new Set<number>();
    const lengths = new Set<number>();
    for (const [at, kid] of kids.entries()) {
      if (this.#tree.markers.has(kid)) continue;
      const { snapshot: own } = this.#edit;
      const key = this.#edit.key(kid);
      const head = key === undefined ? headOf(own, kid) : null;
      if (key !== undefined) wanted.set(`key ${key}`, at);
      else if (head !== null) wanted.set(`head ${head}`, at);
      if (!this.#isOpen(kid) && isTelling(this.#edit, kid)) {
        wanted.set(this.#edit.text(kid), at);
        lengths.add(own.end(kid) - own.start(kid));
      }
      types.add(own.types[kid] ?? 0);
    }
    const said = (node: number): string[] => {
      const key = this.#original.key(node);
      const found = key === undefined ? [] : [`key ${key}`];
      if (key === undefined) found.push(`head ${headOf(snapshot, node) ?? ''}`);
      if (lengths.has(snapshot.end(node) - snapshot.start(node))) found.push(this.#original.text(node));
      return found;
    };
    const votes = new Map<number, Set<number>>();
    for (let node = 1; node < snapshot.count; node += 1) {
      if (!types.has(snapshot.types[node] ?? 0)) continue;
      for (const each of said(node)) {
        const at = wanted.get(each);
        if (at === undefined) continue;
        const container = this.#original.container(node);
        votes.set(container, (votes.get(container) ?? new Set()).add(at));
      }
    }
    const [best, second] = [...votes].toSorted((a, b) => b[1].size - a[1].size);
    if (best === undefined || (second !== undefined && second[1].size === best[1].size)) return -1;
    return best[0];
  }

  #isOpen(node: number): boolean {
    return this.#open[node] === 1;
  }

  /** The children of one node: the edit's, and what its markers keep of the original's. */
  #list(kids: readonly number[], theirs: readonly number[], edges: Edges): string {
    const edit = this.#edit;
    this.#checkDepth(kids);
    if (!edges.before && kids.some((kid) => this.#tree.markers.has(kid)) && !isList(edit, kids)) throw new Unsure();
    const ours = this.#withMarkers(kids, edges);
    const match = matchKids(edit, this.#original, ours, theirs, (node) => this.#isOpen(node));
    if (match === null) throw new Unsure();
    const isClosed = kids.length > 0 && !edit.snapshot.isNamed(kids.at(-1) ?? 0);
    let out = '';
    let next = 0;
    for (let start = 0; start <= ours.length;) {
      let end = start;
      while (end < ours.length && ours[end] !== MARKER) end += 1;
      const [marked, goesOn] = [start > 0, end < ours.length];
      if (end > start) {
        let first = start;
        while (first < end && (match[first] ?? -1) < 0) first += 1;
        let last = end - 1;
        while (last >= start && (match[last] ?? -1) < 0) last -= 1;
        // Between two markers nothing says where it goes.
        if (first === end && marked && (goesOn || !isClosed)) throw new Unsure();
        const from = first < end ? (match[first] ?? 0) : marked ? theirs.length : 0;
        const to = first < end ? (match[last] ?? 0) + 1 : from;
        if (marked) out += this.#kept(theirs, next, from - this.#replacedLead(ours, theirs, start, first, from));
        if (marked) this.#guard(ours.slice(start, first), theirs, from - 1);
        if (marked && first === start && first < end) this.#guardLead(ours[first] ?? 0, theirs[from] ?? 0);
        for (let at = start; at < end; at += 1) {
          const leaks = at === end - 1 && goesOn;
          out += this.#shown(ours[at] ?? 0, theirs[match[at] ?? -1] ?? -1, leaks);
        }
        next = to;
        if (goesOn) {
          this.#guard(ours.slice(last + 1, end), theirs, to);
          // A comment behind shown code is on the line that was shown.
          while (next > 0 && next < theirs.length && this.#isBehind(theirs[next] ?? 0, theirs[next - 1] ?? 0)) next += 1;
        }
        if (!goesOn) next = theirs.length;
      } else if (!goesOn && marked) out += this.#kept(theirs, next, theirs.length);
      start = end + 1;
    }
    return out;
  }

  /** Markers as `MARKER`. A Python marker says nothing of depth: behind a block it may also stand in it, and the other way. */
  #withMarkers(kids: readonly number[], { before, after }: Edges): number[] {
    const ours: number[] = before ? [MARKER] : [];
    const mark = (): void => {
      if (ours.at(-1) !== MARKER) ours.push(MARKER);
    };
    for (const kid of kids) {
      if (this.#tree.markers.has(kid)) mark();
      else {
        ours.push(kid);
        if (this.#canReach(kid) && this.#endsOpen(kid)) mark();
      }
    }
    if (after) mark();
    return ours;
  }

  /** A marker behind it may stand in it, too: nothing shows where it ends. */
  #canReach(node: number): boolean {
    return this.#isPython || isCase(this.#edit.snapshot, node);
  }

  #endsOpen(node: number): boolean {
    if (!this.#isOpen(node)) return false;
    const last = this.#edit.kids(node).at(-1);
    return last !== undefined && (this.#tree.markers.has(last) || this.#endsOpen(last));
  }

  /** One shown child: as it is, or with what markers in it keep. */
  #shown(node: number, other: number, leaks: boolean): string {
    const { snapshot } = this.#edit;
    const reaches = leaks && other >= 0 && this.#canReach(node) && endsWithBlock(snapshot, node);
    if (!this.#isOpen(node) && !reaches) {
      if (leaks && other >= 0 && this.#mayGoOn(node, other)) throw new Unsure();
      return this.#text(node);
    }
    if (other < 0 || snapshot.types[node] !== this.#original.snapshot.types[other]) throw new Unsure();
    return this.#list(this.#edit.kids(node), this.#original.kids(other), { before: false, after: reaches });
  }

  /** An `if` without the `else` of the old one, and a marker behind it: does the marker stand for the rest of it? */
  #mayGoOn(node: number, other: number): boolean {
    const [ours, theirs] = [this.#edit.kids(node), this.#original.kids(other)];
    const [last, lastThere] = [ours.at(-1), theirs.at(-1)];
    if (last === undefined || lastThere === undefined || !this.#edit.snapshot.isNamed(last)) return false;
    return ours.length < theirs.length || this.#mayGoOn(last, lastThere);
  }

  #kept(theirs: readonly number[], from: number, to: number): string {
    if (to < from) throw new Unsure();
    let out = '';
    for (let at = from; at < to; at += 1) out += pieceOf(this.#original.snapshot, theirs[at] ?? 0, '');
    return out;
  }

  #text(node: number): string {
    return pieceOf(this.#edit.snapshot, node, this.#isPython ? this.#tree.indent : '');
  }

  /** Whether new comments stand where the old ones of a declaration stood: those go. One is clear, several are not. */
  #replacedLead(ours: readonly number[], theirs: readonly number[], start: number, first: number, from: number): number {
    let lead = first;
    while (lead > start && this.#edit.isLead(ours[lead - 1] ?? 0)) lead -= 1;
    if (lead === first) return 0;
    let old = from;
    while (old > 0 && this.#original.isLead(theirs[old - 1] ?? 0)) old -= 1;
    if (old === from) return 0;
    if (first - lead === 1 && from - old === 1 && lead === start) return 1;
    throw new Unsure();
  }

  /** What no match was found for, beside a marker: is it new, or one of several there, or a new version of a hidden one? */
  #guard(fresh: readonly number[], theirs: readonly number[], hidden: number): void {
    const [edit, original] = [this.#edit, this.#original];
    const beside = theirs[hidden];
    for (const node of fresh) {
      const [key, text] = [edit.key(node), edit.text(node)];
      if (theirs.some((other) => original.text(other) === text || (key !== undefined && original.key(other) === key)))
        throw new Unsure();
      if (beside === undefined || key !== undefined) continue;
      if (edit.snapshot.types[node] !== original.snapshot.types[beside]) continue;
      if (similarity(tokensOf(edit.snapshot.text(node)), tokensOf(original.snapshot.text(beside))) >= ALIKE_MIN)
        throw new Unsure();
    }
  }

  /** Annotations over the first shown line are behind the marker, but of one node with it. */
  #guardLead(node: number, other: number): void {
    const begins = ({ snapshot }: Side, at: number): boolean => /[@#[]/.test(snapshot.source[snapshot.start(at)] ?? '');
    if (begins(this.#original, other) && !begins(this.#edit, node)) throw new Unsure();
  }

  #isBehind(comment: number, before: number): boolean {
    const { snapshot } = this.#original;
    if (!this.#original.isComment(comment)) return false;
    return !snapshot.source.slice(snapshot.end(before), snapshot.start(comment)).includes('\n');
  }

  /**
   * What stands side by side stands at one depth. Where it does not, a bracket of the edit closes another block than it seems
   * to, because what opened that one is not shown; or Python's grammar took for a block what is none.
   */
  #checkDepth(kids: readonly number[]): void {
    const { snapshot } = this.#edit;
    let depth: string | null = null;
    for (const kid of kids) {
      if (!snapshot.isNamed(kid) || this.#edit.isComment(kid) || this.#tree.markers.has(kid)) continue;
      const before = snapshot.source.slice(snapshot.source.lastIndexOf('\n', snapshot.start(kid) - 1) + 1, snapshot.start(kid));
      if (before.trim() !== '') continue;
      depth ??= before;
      if (before !== depth) throw new Unsure();
    }
  }
}
