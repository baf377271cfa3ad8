import type { Snapshot } from '../../snapshot.ts';
import { type Scope, type ScopeBuilder, TYPE, VALUE } from './model.ts';

/** Macros whose arguments are expressions, the first of them perhaps a format string. */
const FORMAT =
  /^(?:e?print(?:ln)?|format(?:_args)?|write(?:ln)?|panic|todo|unimplemented|unreachable|(?:debug_)?assert(?:_eq|_ne)?)$/;
const EXPRESSIONS = /^(?:vec|dbg)$/;

/**
 * Names in a macro's arguments, which the grammar leaves as tokens. Those of the standard macros are expressions, with
 * `{name}` in a format string; of all others nobody knows what they are.
 */
export function readMacro(builder: ScopeBuilder, node: number, scope: Scope): void {
  const { tree } = builder;
  const macro = tree.childByField(node, 'macro');
  const tokens = tree.namedChildren(node).find((child) => tree.type(child) === 'token_tree');
  if (tokens === undefined) return;
  readTokens(builder, scope, tokens, tree.text(macro));
}

function readTokens(builder: ScopeBuilder, scope: Scope, list: number, macro: string): void {
  const { tree } = builder;
  const format = FORMAT.test(macro);
  const declares = tree.children(list).some((child) => /^(\||let|fn|for|match|if|while)$/.test(tree.text(child)));
  if ((!format && !EXPRESSIONS.test(macro)) || declares) return allUnsure(builder, scope, list);
  const children = tree.children(list);
  const text = (index: number): string => (children[index] === undefined ? '' : tree.text(children[index]));
  const named = new Set<string>();
  for (const [index, child] of children.entries()) {
    if (tree.type(child) !== 'identifier' || text(index + 1) !== '=' || !/^[,(]$/.test(text(index - 1))) continue;
    named.add(tree.text(child));
    builder.hazard(child, 'it is the name of a format argument', tree.text(child), { scope });
  }
  for (const [index, child] of children.entries()) {
    const type = tree.type(child);
    if (type === 'token_tree') {
      // `name!(…)` inside is a macro of its own, anything else belongs to this one.
      const inner = text(index - 1) === '!' ? text(index - 2) : macro;
      readTokens(builder, scope, child, inner === macro ? expressionsOnly(macro) : inner);
    } else if (type === 'identifier') {
      if (text(index - 1) === '.' || text(index - 1) === '::' || text(index + 1) === '!' || named.has(tree.text(child))) continue;
      if (text(index + 1) === ':') builder.hazard(child, 'a field in a macro is not understood', tree.text(child), { scope });
      else builder.reference(scope, child, text(index + 1) === '::' ? TYPE : VALUE);
    } else if (format && /^(raw_)?string_literal$/.test(type)) readFormat(builder, scope, tree, child, named);
  }
}

/** Nested parentheses of a format macro hold expressions, no format string. */
const expressionsOnly = (macro: string): string => (FORMAT.test(macro) ? 'vec' : macro);

/** `{name}` and `{name:…}` use the variable; `name$` in a width does, too, and is refused. */
function readFormat(builder: ScopeBuilder, scope: Scope, tree: Snapshot, node: number, named: ReadonlySet<string>): void {
  const text = tree.text(node);
  for (const found of text.matchAll(/\{\{|\{([\p{L}_][\p{L}\p{N}_]*)(?=[:}])|\{[^{}]*\}/gu)) {
    const name = found[1];
    if (name === undefined || named.has(name)) continue;
    const start = tree.start(node) + found.index + 1;
    builder.referenceName(scope, { name, start, end: start + name.length });
  }
  for (const [, name] of text.matchAll(/([\p{L}_][\p{L}\p{N}_]*)\$/gu))
    builder.hazard(node, 'a format width names it', name ?? null, { scope });
}

function allUnsure(builder: ScopeBuilder, scope: Scope, list: number): void {
  const { tree } = builder;
  for (let inner = list; inner < tree.after(list); inner++) {
    const type = tree.type(inner);
    if (type.endsWith('identifier')) builder.hazard(inner, 'it may be used in a macro', tree.text(inner), { scope });
    else if (type.endsWith('string_literal')) {
      for (const [, name] of tree.text(inner).matchAll(/\{([\p{L}_][\p{L}\p{N}_]*)/gu))
        builder.hazard(inner, 'it may be used in a macro', name ?? null, { scope });
    }
  }
}
