import type { Selector } from '../../../shared/schemas/allocations.ts';
import type { AgentClass } from './agent-index.ts';

/** Label names that are kept in an index; the one asked for longest ago goes. */
const NAMES_MAX = 32;
/** Label names of one selector that are looked at: it may name more than are kept, and one is enough. */
const NAMES_PER_SELECTOR = 8;

/** Classes by the values of the labels that selectors ask for by equality. A name is indexed when it is first asked for. */
export class LabelIndex {
  /** Name → value → classes; in the order of use, latest last. */
  readonly #names = new Map<string, Map<string, Set<AgentClass>>>();

  add(klass: AgentClass): void {
    for (const [name, values] of this.#names) put(values, name, klass);
  }

  delete(klass: AgentClass): void {
    for (const [name, values] of this.#names) {
      const value = Object.hasOwn(klass.labels, name) ? klass.labels[name] : undefined;
      if (value === undefined) continue;
      const classes = values.get(value);
      classes?.delete(klass);
      if (classes?.size === 0) values.delete(value);
    }
  }

  /**
   * The fewest classes among which all that match a selector are, by the parts of it that ask for equality; null when it
   * has no such part or all of them leave more than `most`.
   */
  narrowest(selector: Selector | undefined, all: ReadonlyMap<string, AgentClass>, most: number): readonly AgentClass[] | null {
    let best: readonly Set<AgentClass>[] | null = null;
    let fewest = most;
    const consider = (name: string, wanted: readonly string[]): void => {
      const values = this.#named(name, all);
      const found = [...new Set(wanted)].flatMap((value) => values.get(value) ?? []);
      const size = found.reduce((sum, classes) => sum + classes.size, 0);
      if (size > fewest) return;
      [best, fewest] = [found, size];
    };
    for (const [name, wanted] of equalities(selector).slice(0, NAMES_PER_SELECTOR)) consider(name, wanted);
    return (best as readonly Set<AgentClass>[] | null)?.flatMap((classes) => [...classes]) ?? null;
  }

  #named(name: string, all: ReadonlyMap<string, AgentClass>): ReadonlyMap<string, Set<AgentClass>> {
    let values = this.#names.get(name);
    if (values === undefined) {
      values = new Map();
      for (const klass of all.values()) put(values, name, klass);
    } else this.#names.delete(name);
    this.#names.set(name, values);
    const [oldest] = this.#names.keys();
    if (this.#names.size > NAMES_MAX && oldest !== undefined) this.#names.delete(oldest);
    return values;
  }
}

const equalities = (selector: Selector | undefined): readonly (readonly [string, readonly string[]])[] => [
  ...Object.entries(selector?.matchLabels ?? {}).map(([name, value]) => [name, [value]] as const),
  ...(selector?.matchExpressions ?? []).flatMap((e) => (e.operator === 'In' ? [[e.key, e.values] as const] : [])),
];

function put(values: Map<string, Set<AgentClass>>, name: string, klass: AgentClass): void {
  const value = Object.hasOwn(klass.labels, name) ? klass.labels[name] : undefined;
  if (value === undefined) return;
  const classes = values.get(value);
  if (classes === undefined) values.set(value, new Set([klass]));
  else classes.add(klass);
}
