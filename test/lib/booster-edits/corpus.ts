import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Engine } from '../../../wasm/booster/engine.ts';
import type { LanguageId } from '../../../wasm/booster/languages.ts';
import type { EditStyle } from '../../../wasm/booster/merge/types.ts';
import { FIXTURES } from '../../fixtures/booster/changes.ts';
import { TRICKY } from '../../fixtures/booster/tricky.ts';
import { Seeded } from '../seeded.ts';
import { changesOf } from './diff.ts';
import { markerHabit, renderBlocks, renderDiff, renderShown, shownHunks, shownStructure } from './render.ts';
import { renderSnippet } from './snippet.ts';

export interface Case {
  readonly name: string;
  readonly language: LanguageId;
  readonly style: EditStyle;
  readonly original: string;
  readonly edit: string;
  /** The one right output; null if the edit must be refused. */
  readonly expected: string | null;
}

const FIXTURE_DIR = path.join(import.meta.dirname, '../../fixtures/booster');

export const linesOf = (text: string): string[] => (text.endsWith('\n') ? text.slice(0, -1) : text).split('\n');

/** All cases: every change of every fixture in every style that can say it, and the tricky ones written by hand. */
export function corpus(engine: Engine): Case[] {
  const cases: Case[] = TRICKY.map((each) => ({ ...each }));
  for (const { language, file, changes } of FIXTURES) {
    const original = readFileSync(path.join(FIXTURE_DIR, file), 'utf8');
    for (const [index, { name, replace }] of changes.entries()) {
      let after = original;
      for (const [from, to] of replace) {
        if (after.split(from).length !== 2) throw new Error(`${file}, ${name}: "${from}" does not stand there once`);
        after = after.replace(from, () => to);
      }
      const random = new Seeded(index * 101 + language.length);
      for (const { style, label, edit } of renderings(engine, language, original, after, random)) {
        cases.push({ name: `${name} (${label})`, language, style, original, edit, expected: after });
      }
    }
  }
  return cases;
}

interface Rendering {
  readonly style: EditStyle;
  readonly label: string;
  readonly edit: string;
}

/** One change in all styles that can say it. */
export function renderings(engine: Engine, language: LanguageId, before: string, after: string, random: Seeded): Rendering[] {
  const [old, fresh] = [linesOf(before), linesOf(after)];
  const changes = changesOf(old, fresh);
  if (changes === null || changes.length === 0) return [];
  const habit = { ...markerHabit(random, language), edges: true };
  const made: { style: EditStyle; label: string; edit: string | null }[] = [
    { style: 'lazy', label: 'hunks', edit: renderShown(fresh, shownHunks(fresh, changes, random.int(2, 3)), habit) },
    { style: 'lazy', label: 'structure', edit: renderShown(fresh, shownStructure(fresh, changes, random.int(1, 2)), habit) },
    { style: 'snippet', label: 'definitions', edit: renderSnippet(engine, language, before, fresh, changes, random) },
    { style: 'search_replace', label: 'blocks', edit: renderBlocks(old, fresh, changes) },
    { style: 'unified_diff', label: 'diff', edit: renderDiff(old, fresh, changes, 3, random.int(-9, 60)) },
    { style: 'unified_diff', label: 'diff without numbers', edit: renderDiff(old, fresh, changes, 3, null) },
    { style: 'full', label: 'file', edit: `\`\`\`\n${after}\`\`\`\n` },
  ];
  return made.flatMap(({ style, label, edit }) => (edit === null ? [] : [{ style, label, edit }]));
}
