import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { digestOf } from '../../../examples/analysers/source-file.ts';
import { findFiles } from '../../../scripts/demo/files.ts';

let directory = '';
beforeEach(() => (directory = mkdtempSync(path.join(tmpdir(), 'demo-files-'))));
afterEach(() => rmSync(directory, { recursive: true }));

function write(name: string, content: string | Buffer): void {
  mkdirSync(path.dirname(path.join(directory, name)), { recursive: true });
  writeFileSync(path.join(directory, name), content);
}

test('finds source files by path, and says what it left out', () => {
  write('b.ts', '\uFEFFconst b = 1;\n');
  write('src/a.css', 'a {}');
  write('src/a.md', '# no source');
  write('logo.png', 'x');
  write('.hidden.ts', 'x');
  write('.git/c.ts', 'x');
  write('node_modules/m/index.js', 'x');
  write('src/dist/d.js', 'x');
  write('package-lock.json', '{}');
  write('nul.js', Buffer.from([120, 0, 120]));
  write('latin1.js', Buffer.from([0x27, 0xe9, 0x27]));
  write('large.json', `"${'x'.repeat(512 * 1024)}"`);
  write('escapes.js', '"'.repeat(510 * 1024));
  symlinkSync(path.join(directory, 'b.ts'), path.join(directory, 'link.ts'));
  const { files, skipped } = findFiles(directory, null);
  expect(files.map((file) => file.path)).toEqual(['b.ts', 'src/a.css']);
  expect(files[0]).toMatchObject({ bytes: 16, sha256: digestOf('\uFEFFconst b = 1;\n') });
  expect(skipped).toEqual({ 'other kinds of file': 2, binary: 2, 'too large': 2, 'lock files': 1, unreadable: 0 });
});

test('a folder of build output is analysed when it is what was asked for', () => {
  write('dist/d.js', 'x');
  expect(findFiles(path.join(directory, 'dist'), null).files).toHaveLength(1);
});

test('takes the first files only when told to', () => {
  for (const name of ['c', 'a', 'b']) write(`${name}.js`, name);
  expect(findFiles(directory, 2).files.map((file) => file.path)).toEqual(['a.js', 'b.js']);
});
