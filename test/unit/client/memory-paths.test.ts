import { describe, expect, it } from 'vitest';
import { MemoryPaths } from '../../../client/src/api/memory.ts';
import { ConfigurationError } from '../../../client/src/errors.ts';

describe('paths of a memory', () => {
  const paths = new MemoryPaths(() => expect.fail('nothing is sent'), 'hive', undefined);

  it.each(['', '.', '..'])('M150 %j is refused before it is sent: a path would lose it', (key) => {
    expect(() => paths.entry(key)).toThrow(ConfigurationError);
    expect(() => paths.entry(key, '/history')).toThrow(ConfigurationError);
  });

  it('M150 every other key arrives as it is', () => {
    for (const key of ['...', '/', 'a/../b', '%2e', ' ', 'ä?#'])
      expect(decodeURIComponent(new URL(paths.entry(key), 'http://x').pathname.split('/').at(-1) ?? '')).toBe(key);
  });
});
