/** JavaScript of about `bytes` bytes: functions that differ in names and numbers, as files do. */
export function sourceOf(bytes: number): string {
  let text = "import { log } from './log.js';\n\n";
  for (let i = 0; text.length < bytes; i += 1) {
    text += `/** Adds up what item ${i} costs. */\nexport function total${i}(items, rate = ${i}) {\n  let sum = 0;\n  for (const item of items) {\n    if (item.price > ${i + 10}) sum += item.price * rate;\n    else sum += item.price;\n  }\n  log('total${i}', sum);\n  return sum;\n}\n\n`;
  }
  return text;
}

/** The last function, written anew: what an assistant sends. */
export function snippetOf(source: string): string {
  const i = Number([...source.matchAll(/function total(\d+)/g)].at(-1)?.[1] ?? 0);
  return `export function total${i}(items, rate = ${i}) {\n  let sum = 1;\n  for (const item of items) {\n    if (item.price > ${i + 10}) sum += item.price * rate;\n    else sum += item.price;\n  }\n  log('total${i}', sum);\n  return sum;\n}\n`;
}

/** The same edit with everything else elided. */
export const lazyOf = (source: string): string => `// ... existing code ...\n\n${snippetOf(source)}`;

/** The same edit as a SEARCH/REPLACE block. */
export function blockOf(source: string): string {
  const i = Number([...source.matchAll(/function total(\d+)/g)].at(-1)?.[1] ?? 0);
  const head = `export function total${i}(items, rate = ${i}) {\n`;
  return `<<<<<<< SEARCH\n${head}  let sum = 0;\n=======\n${head}  let sum = 1;\n>>>>>>> REPLACE\n`;
}

/** What every contender must make of it. */
export function mergedOf(source: string): string {
  const at = source.lastIndexOf('  let sum = 0;');
  return `${source.slice(0, at)}  let sum = 1;${source.slice(at + '  let sum = 0;'.length)}`;
}

export const SIZES = [300, 1_000, 10_000, 100_000] as const;
export const QUERY = '(function_declaration name: (identifier) @name)';
