/** TypeScript in which every `<` may open type arguments: the parser follows all readings until its budget ends it. */
export const HOSTILE = 'x<y>(z)<'.repeat(31_250);

/** An operation that makes the engine of faulty-engine.ts fail, and one like it that does not. */
export const failing = (how: 'panic' | 'memory', n = 0) =>
  ({ operation: 'check', path: 'a.js', original: `let a${n} = ${n}; // fault:${how}` }) as const;
export const sound = (n = 0) => ({ operation: 'check', path: 'a.js', original: `let a${n} = ${n};` }) as const;
