import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';

/** Whether the command can be started at all: better known before an agent offers to run it. */
export function isExecutable(command: string): boolean {
  const candidates = command.includes(path.sep)
    ? [command]
    : (process.env['PATH'] ?? '')
        .split(path.delimiter)
        .filter((folder) => folder !== '')
        .map((folder) => path.join(folder, command));
  return candidates.some((file) => {
    try {
      accessSync(file, constants.X_OK);
      return statSync(file).isFile();
    } catch {
      return false;
    }
  });
}
