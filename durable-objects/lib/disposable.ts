/**
 * An RPC answer together with its release. Any object that comes over RPC has a `dispose` that the types of a plain interface
 * do not show; until it is called, the runtime keeps the other side's call. A Worker's request ends soon by itself, an
 * object lives on. The data stays usable afterwards.
 */
export function disposable<T extends object>(value: T): { readonly value: T } & Disposable {
  return {
    value,
    [Symbol.dispose]() {
      if (Symbol.dispose in value && typeof value[Symbol.dispose] === 'function') (value as T & Disposable)[Symbol.dispose]();
    },
  };
}

/**
 * Gives back at once what the runtime keeps for an RPC answer, and hands the answer on. Left to the end of a request it does
 * no harm, but a collection that comes before that end complains about each one.
 */
export function released<T>(answer: T): T {
  if (typeof answer === 'object' && answer !== null) disposable(answer)[Symbol.dispose]();
  return answer;
}
