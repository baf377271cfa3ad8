/**
 * A linearizability checker after Wing & Gong and Lowe: whether the operations of concurrent callers can be put into one
 * order that respects real time and that a sequential model accepts. Operations are linearized just in time, only when
 * an answer needs it, and configurations (model state, pending operations that took effect) are remembered, so a long
 * history costs what its concurrency costs, not its length.
 */
export interface Operation<V> {
  readonly value: V;
  /** When it was called. Positions are milliseconds and order the whole history; at equal ones a call comes first. */
  readonly call: number;
  /** When its answer came; without an answer the last moment at which it can have taken effect (`Infinity`: any time). */
  readonly end: number;
  /** No answer came: it took effect at some moment from `call` to `end`, or never. */
  readonly isOpen?: boolean;
}

/** The time within which an operation takes effect, for models that know about clocks. */
export interface Span {
  readonly fromMs: number;
  readonly untilMs: number;
}

/** A sequential specification. States are values: `step` never changes the one it is given. */
export interface Model<S, V> {
  readonly initial: S;
  /** The states that may follow; none when the operation cannot have had its outcome in `state`. */
  step(state: S, value: V, span: Span): readonly S[];
  /** Equal exactly for equal states. */
  key(state: S): string;
}

export type Verdict<S, V> =
  | { readonly kind: 'linearizable' }
  | {
      readonly kind: 'violation';
      /** The shortest prefix that has no order: all that was called before the answer of `blocked`. */
      readonly prefix: readonly Operation<V>[];
      readonly blocked: Operation<V>;
      /** The states in which the rest of the prefix may have left the object, none of which allows `blocked`. */
      readonly states: readonly S[];
    }
  /** More configurations than can be looked at: nothing is known. */
  | { readonly kind: 'undecided'; readonly configurations: number };

interface Configuration<S> {
  readonly state: S;
  /** Pending operations that have taken effect, ascending. */
  readonly done: readonly number[];
}

const CONFIGURATIONS_MAX = 500_000;

export function check<S, V>(
  model: Model<S, V>,
  history: readonly Operation<V>[],
  configurationsMax = CONFIGURATIONS_MAX,
): Verdict<S, V> {
  const events = history
    .flatMap((operation, index) => [
      { atMs: operation.call, isEnd: false, index, operation },
      ...(operation.end === Infinity ? [] : [{ atMs: operation.end, isEnd: true, index, operation }]),
    ])
    .sort((a, b) => a.atMs - b.atMs || Number(a.isEnd) - Number(b.isEnd));
  const pending = new Map<number, Operation<V>>();
  const keyOf = ({ state, done }: Configuration<S>): string => `${done.join(',')} ${model.key(state)}`;
  const start: Configuration<S> = { state: model.initial, done: [] };
  let current = new Map([[keyOf(start), start]]);
  let looked = 0;

  for (const { atMs, isEnd, index, operation } of events) {
    if (!isEnd) {
      pending.set(index, operation);
      continue;
    }
    const next = new Map<string, Configuration<S>>();
    const keep = (configuration: Configuration<S>): void => {
      const kept = { state: configuration.state, done: configuration.done.filter((other) => other !== index) };
      next.set(keyOf(kept), kept);
    };
    const seen = new Set<string>(current.keys());
    const open = [...current.values()];
    for (let configuration = open.pop(); configuration !== undefined; configuration = open.pop()) {
      looked += 1;
      if (looked > configurationsMax) return { kind: 'undecided', configurations: looked };
      const { state, done } = configuration;
      if (done.includes(index)) {
        keep(configuration);
        continue;
      }
      for (const [other, { value, call }] of pending) {
        if (done.includes(other)) continue;
        for (const after of model.step(state, value, { fromMs: call, untilMs: atMs })) {
          const found = { state: after, done: [...done, other].sort((a, b) => a - b) };
          const key = keyOf(found);
          if (seen.has(key)) continue;
          seen.add(key);
          open.push(found);
        }
      }
    }
    // Without an answer it may also never have happened.
    if (operation.isOpen === true)
      for (const configuration of current.values()) if (!configuration.done.includes(index)) keep(configuration);
    if (next.size === 0) {
      const prefix = history.filter(({ call }) => call <= atMs);
      return { kind: 'violation', prefix, blocked: operation, states: [...current.values()].map(({ state }) => state) };
    }
    pending.delete(index);
    current = next;
  }
  return { kind: 'linearizable' };
}

/** Splits a history by key: an object is linearizable exactly if each of its independent parts is. */
export function partition<V>(
  history: readonly Operation<V>[],
  keyOf: (value: V) => string,
): ReadonlyMap<string, readonly Operation<V>[]> {
  return Map.groupBy(history, ({ value }) => keyOf(value));
}
