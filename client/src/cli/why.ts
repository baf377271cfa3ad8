import type { Why } from '../types.ts';
import { agentsText, clean, limitText, type Output } from './output.ts';

const instant = (atMs: number | undefined): string | undefined => (atMs === undefined ? undefined : new Date(atMs).toISOString());

/** A whole explanation for a reader: what to do first, then what it rests on. */
export function whyText(why: Why, output: Output): string {
  const { waitsFor, limitedBy, nearMisses = [], failed } = why;
  const parts = [
    clean(why.detail),
    output.fields([
      ['position', why.position],
      ['starts about', instant(why.estimatedStartAtMs)],
      ['waits for', waitsFor?.for],
      ['until', instant(waitsFor?.untilMs)],
      ['tasks', waitsFor?.tasks?.join(', ')],
      ['limited by', limitedBy && limitText(limitedBy)],
      ['agents', agentsText(why)],
    ]),
  ];
  if (failed.length > 0)
    parts.push(
      output.table(
        ['fails', 'agents'],
        failed.map(({ predicate, agents }) => [clean(predicate), agents]),
      ),
    );
  if (nearMisses.length > 0)
    parts.push(
      output.table(
        ['nearest', 'because'],
        nearMisses.map((miss) => [clean(miss.agentId), clean(miss.failed.map(({ detail }) => detail).join('; '))]),
      ),
    );
  return parts.join('\n\n');
}
