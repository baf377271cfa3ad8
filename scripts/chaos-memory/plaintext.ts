import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** Nothing of these may be found in any file of the state. */
const SEARCHED = ['plainkey', 'plainvalue', 'plainowner', 'plainword', 'CREATE VIRTUAL', 'groups_owner', 'plaintag', 'acl_level'];

/** Every file of the state whose path has `part` in it, searched byte by byte. */
export function plaintextIn(folder: string, part = ''): readonly string[] {
  const found: string[] = [];
  let bytes = 0;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    if (!file.includes(part)) continue;
    const content = readFileSync(file);
    bytes += content.length;
    for (const word of SEARCHED) {
      if (content.includes(word) || content.includes(Buffer.from(word, 'utf16le')))
        found.push(`'${word}' lies in clear in ${entry.name}`);
    }
  }
  if (bytes === 0) found.push('there was no file to search');
  return found;
}
