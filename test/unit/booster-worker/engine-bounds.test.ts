import { expect, it, vi } from 'vitest';
import { PARSE_MEMORY_MAX_BYTES } from '../../../wasm/booster/limits.ts';
import { newEngine } from '../../lib/booster.ts';

vi.setConfig({ testTimeout: 60_000 });

it.each(['csharp', 'cpp', 'typescript'] as const)(
  'B225: hostile %s ends for its memory, long before an isolate would',
  async (language) => {
    const engine = await newEngine();
    const parsed = engine.session((session) => session.parse(language, 'a<'.repeat(125_000)));
    expect(parsed).toBe('budget');
    // It grows in steps of a fifth.
    expect(engine.memoryBytes).toBeLessThan(1.25 * PARSE_MEMORY_MAX_BYTES);
    // A source after it must not continue this one.
    const after = engine.session((session) => {
      const next = session.parse('javascript', 'let a = 1;');
      return typeof next === 'string' ? next : next.tree.rootNode.toString();
    });
    expect(after).toBe('(program (lexical_declaration (variable_declarator name: (identifier) value: (number))))');
  },
);
