import type { LanguageId } from '../languages.ts';
import type { Snapshot } from '../snapshot.ts';
import { type Declaration, declarationsOf } from './declarations.ts';

const IMPORT = /^(?:import_statement|import_from_statement|import_declaration|use_declaration|future_import_statement)$/;

const NAME = /^(?:identifier|type_identifier|shorthand_property_identifier|namespace_identifier|package_identifier)$/;

/** Where a name is bound and not used. */
const BINDING = /parameter|pattern|declarator|binding|let_declaration|assignment|clause|declaration$|definition$|_item$/;

export const isImport = (snapshot: Snapshot, node: number): boolean => IMPORT.test(snapshot.type(node));

/**
 * Names that the outermost code of one text binds and that of another does not, although the other uses them: who drops an
 * import and goes on calling what it brought did not mean to. It errs on the side of saying nothing: names that are bound
 * anywhere in the other text do not count, nor do members.
 */
export function namesMissed(before: Snapshot, after: Snapshot, language: LanguageId): string[] {
  const bound = namesBound(before, language);
  for (const name of namesBound(after, language)) bound.delete(name);
  if (bound.size === 0) return [];
  const used = new Set<string>();
  for (let node = 1; node < after.count; node += 1) {
    if (after.after(node) !== node + 1 || !NAME.test(after.type(node))) continue;
    const name = after.text(node);
    if (!bound.has(name)) continue;
    const parent = after.parent(node);
    // `x.name` of languages in which members are plain identifiers.
    if (/^(?:attribute|field_access|selector_expression|keyword_argument)$/.test(after.type(parent)) && !isFirst(after, node))
      continue;
    if (BINDING.test(after.type(parent)) && isBound(after, node)) bound.delete(name);
    else used.add(name);
  }
  return [...used].filter((name) => bound.has(name));
}

/**
 * Whether a declaration was meant to go: another one in its place has its name, an import does, or it was used outside of
 * itself and its name is nowhere any more, so that the edit took every use away, too.
 */
export function isGivenUp(before: Snapshot, declaration: Declaration, after: Snapshot, language: LanguageId): boolean {
  const [name] = declaration.name.match(/^[\p{L}\p{N}_$]+$/u) ?? [];
  if (name === undefined) return false;
  const word = new RegExp(`(?<![\\p{L}\\p{N}_$])${name.replaceAll('$', '\\$')}(?![\\p{L}\\p{N}_$])`, 'u');
  if (!word.test(after.source)) {
    const outside = `${before.source.slice(0, declaration.start)}\n${before.source.slice(declaration.end)}`;
    return word.test(outside);
  }
  return declaration.parent < 0 && namesBound(after, language).has(name);
}

const isFirst = (snapshot: Snapshot, node: number): boolean => snapshot.firstChild(snapshot.parent(node)) === node;

const isBound = (snapshot: Snapshot, node: number): boolean =>
  /^(?:name|pattern|left|parameter|)$/.test(snapshot.field(node)) && !/^(?:value|right)$/.test(snapshot.field(node));

/** What outermost declarations and imports bind. */
function namesBound(snapshot: Snapshot, language: LanguageId): Set<string> {
  const names = new Set<string>();
  for (const { name, parent } of declarationsOf(snapshot, language)) {
    if (parent < 0) for (const word of name.match(/[\p{L}\p{N}_$]+/gu) ?? []) names.add(word);
  }
  for (const child of snapshot.namedChildren(0)) {
    if (!isImport(snapshot, child)) continue;
    for (let node = child + 1; node < snapshot.after(child); node += 1) {
      if (snapshot.after(node) === node + 1 && NAME.test(snapshot.type(node))) names.add(snapshot.text(node));
    }
  }
  return names;
}
