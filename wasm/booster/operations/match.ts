import type { Snapshot } from '../snapshot.ts';
import type { Metavariable, Pattern } from './pattern.ts';
import { refuse } from './result.ts';

/** What a metavariable stands for: one node, or a row of siblings (perhaps none). */
export interface Capture {
  readonly many: boolean;
  readonly nodes: readonly number[];
}

export interface StructureMatch {
  readonly start: number;
  readonly end: number;
  readonly nodes: readonly number[];
  readonly captures: ReadonlyMap<string, Capture>;
}

/** Nodes looked at or copied in one search; 256 KB of code with an ordinary pattern need well below a million. */
export const MATCH_STEPS_MAX = 3_000_000;
/** Deeper code is not written by hand, and the matcher recurses. */
const DEPTH_MAX = 800;

/** Every match of the pattern, outer before inner, in document order. */
export function findMatches(tree: Snapshot, pattern: Pattern, max: number): readonly StructureMatch[] {
  return new Matcher(tree, pattern).all(max);
}

class Matcher {
  readonly #tree: Snapshot;
  readonly #pattern: Snapshot;
  readonly #roots: readonly number[];
  readonly #variables: ReadonlyMap<string, Metavariable>;
  readonly #captures = new Map<string, Capture>();
  readonly #children = new Map<number, readonly number[]>();
  readonly #patternChildren = new Map<number, readonly number[]>();
  #steps = MATCH_STEPS_MAX;

  constructor(tree: Snapshot, pattern: Pattern) {
    this.#tree = tree;
    this.#pattern = pattern.tree;
    this.#roots = pattern.roots;
    this.#variables = pattern.variables;
  }

  all(max: number): readonly StructureMatch[] {
    const found: StructureMatch[] = [];
    const tree = this.#tree;
    const [root] = this.#roots;
    if (root === undefined) return found;
    for (let node = 0; node < tree.count && found.length < max; node++) {
      if (this.#roots.length === 1) {
        if (tree.types[node] !== this.#pattern.types[root]) continue;
        this.#captures.clear();
        if (this.#node(root, node, 0)) found.push(this.#found([node]));
      } else this.#rows(node, found, max);
    }
    return found;
  }

  /** Rows of siblings under one parent; they do not overlap. */
  #rows(parent: number, found: StructureMatch[], max: number): void {
    if (this.#tree.after(parent) - parent <= 2) return;
    const children = this.#childrenOf(parent);
    for (let from = 0; from < children.length && found.length < max; from++) {
      for (let to = from + 1; to <= children.length; to++) {
        this.#captures.clear();
        this.#spend(to - from);
        const nodes = children.slice(from, to);
        if (!this.#list(this.#roots, nodes, 0)) continue;
        found.push(this.#found(nodes));
        from = to - 1;
        break;
      }
    }
  }

  #found(nodes: readonly number[]): StructureMatch {
    return {
      start: this.#tree.start(nodes[0] ?? 0),
      end: this.#tree.end(nodes.at(-1) ?? 0),
      nodes,
      captures: new Map(this.#captures),
    };
  }

  #node(pattern: number, node: number, depth: number): boolean {
    this.#spend(1);
    if (depth > DEPTH_MAX) return refuse('too_large', 'the code is nested too deep');
    const variable = this.#variableOf(pattern);
    if (variable !== null) {
      if (!this.#tree.isNamed(node) || this.#pattern.fields[pattern] !== this.#tree.fields[node]) {
        // At the root of a row, and in lists that name their members, the field says nothing.
        if (!this.#tree.isNamed(node) || depth > 1) return false;
      }
      return this.#bind(variable, [node]);
    }
    if (this.#pattern.types[pattern] !== this.#tree.types[node]) return false;
    if (depth > 0 && this.#pattern.fields[pattern] !== this.#tree.fields[node]) return false;
    const own = this.#patternChildrenOf(pattern);
    const theirs = this.#childrenOf(node);
    if (own.length === 0 || hasBareText(this.#pattern, pattern)) {
      return this.#pattern.text(pattern) === this.#tree.text(node);
    }
    return this.#list(own, theirs, depth + 1);
  }

  /** A list of patterns against the whole of a list of nodes; `$$$` takes as few as it can. */
  #list(patterns: readonly number[], nodes: readonly number[], depth: number, patternAt = 0, nodeAt = 0): boolean {
    let at = nodeAt;
    for (let index = patternAt; index < patterns.length; index++) {
      const pattern = patterns[index] ?? 0;
      const variable = this.#variableOf(pattern);
      if (variable?.many !== true) {
        const node = nodes[at++];
        if (node === undefined || !this.#node(pattern, node, depth)) return false;
        continue;
      }
      // What the patterns behind it need at least is not for it.
      const needed = patterns.slice(index + 1).filter((one) => this.#variableOf(one)?.many !== true).length;
      for (let end = at; end <= nodes.length - needed; end++) {
        this.#spend(end - at + 1);
        const before = new Map(this.#captures);
        if (this.#bind(variable, nodes.slice(at, end)) && this.#list(patterns, nodes, depth, index + 1, end)) return true;
        this.#captures.clear();
        for (const [name, capture] of before) this.#captures.set(name, capture);
      }
      return false;
    }
    return at === nodes.length;
  }

  #bind({ name, many }: Metavariable, nodes: readonly number[]): boolean {
    if (name === '') return true;
    const known = this.#captures.get(name);
    if (known === undefined) {
      this.#captures.set(name, { many, nodes });
      return true;
    }
    if (known.nodes.length !== nodes.length) return false;
    return known.nodes.every((node, index) => {
      this.#spend(this.#tree.after(node) - node);
      return sameCode(this.#tree, node, this.#tree, nodes[index] ?? 0);
    });
  }

  #spend(steps: number): void {
    this.#steps -= steps;
    if (this.#steps < 0) refuse('budget', 'the search took more steps than one task may');
  }

  /** The metavariable that a pattern node is, also through nodes that add nothing to it. */
  #variableOf(pattern: number): Metavariable | null {
    const text = this.#pattern.end(pattern) - this.#pattern.start(pattern) > 40 ? '' : this.#pattern.text(pattern);
    return this.#variables.get(text.replace(/;$/, '')) ?? null;
  }

  #childrenOf(node: number): readonly number[] {
    let children = this.#children.get(node);
    if (children === undefined) this.#children.set(node, (children = matchedChildren(this.#tree, node)));
    return children;
  }

  #patternChildrenOf(node: number): readonly number[] {
    let children = this.#patternChildren.get(node);
    if (children === undefined) this.#patternChildren.set(node, (children = matchedChildren(this.#pattern, node)));
    return children;
  }
}

/** Children that count: not comments, and not separators, which a list may end with or not. */
export function matchedChildren(tree: Snapshot, node: number): readonly number[] {
  const children = tree.children(node).filter((child) => {
    if (tree.isNamed(child)) return !/comment/.test(tree.type(child));
    const type = tree.type(child);
    return type !== ';' && type !== ',' && tree.text(child).trim() !== '';
  });
  // A hole in a JavaScript array is nothing but its comma.
  return /^array(_pattern)?$/.test(tree.type(node)) && /,\s*,|\[\s*,/.test(tree.text(node))
    ? tree.children(node).filter((child) => !/comment/.test(tree.type(child)))
    : children;
}

/** The node has text of its own between its children, as strings with escapes do. */
function hasBareText(tree: Snapshot, node: number): boolean {
  let at = tree.start(node);
  for (const child of tree.children(node)) {
    if (tree.source.slice(at, tree.start(child)).trim() !== '') return true;
    at = tree.end(child);
  }
  return tree.source.slice(at, tree.end(node)).trim() !== '';
}

/** The same tokens, whatever the white space and comments between them. */
export function sameCode(left: Snapshot, leftNode: number, right: Snapshot, rightNode: number): boolean {
  const [a, b] = [tokensOf(left, leftNode), tokensOf(right, rightNode)];
  return a.length === b.length && a.every((token, index) => token === b[index]);
}

function tokensOf(tree: Snapshot, node: number): readonly string[] {
  const found: string[] = [];
  for (let inner = node; inner < tree.after(node); inner++) {
    if (/comment/.test(tree.type(inner)) && tree.isNamed(inner)) {
      inner = tree.after(inner) - 1;
    } else if (tree.after(inner) === inner + 1 || hasBareText(tree, inner)) {
      found.push(tree.text(inner));
      inner = tree.after(inner) - 1;
    }
  }
  return found;
}
