import { expect, test } from 'vitest';
import { review } from '../../../examples/analysers/review.ts';
import { measure } from '../../../examples/analysers/size.ts';
import { checkSyntax } from '../../../examples/analysers/syntax.ts';
import type { Task } from '../../../client/src/types.ts';
import { findingsOf } from '../../../scripts/demo/findings.ts';

const task = (pool: string, result: unknown, more: Partial<Task> = {}): Task => ({
  id: 't',
  pool,
  region: 'eu-west-1',
  status: 'succeeded',
  priority: 5,
  attempts: 1,
  createdAtMs: 0,
  result,
  ...more,
});

test('puts together what the agents found', async () => {
  const block = Array.from({ length: 7 }, (_, i) => `line${i}();`).join('\n');
  const good = { path: 'a.ts', source: `import 'zod';\nfunction f() {\n${block}\n}\n${block}\n` };
  const bad = { path: 'b.ts', source: 'const b = ;\nif (x) y();\n' };
  const go = { path: 'c.go', source: 'func f() {}\n' };
  const tasks: Task[] = [];
  for (const file of [good, bad, go]) {
    tasks.push(task('tester', await checkSyntax(file)), task('analyst', measure(file)), task('reviewer', review(file)));
  }
  tasks.push(task('analyst', undefined, { status: 'failed' }));
  const findings = findingsOf(tasks);
  expect(findings.lines).toEqual({ total: 20, code: 20, comment: 0, blank: 0 });
  expect(findings.largest[0]).toMatchObject({ path: 'a.ts', lines: 17 });
  expect(findings.mostComplex).toEqual([{ path: 'b.ts', branches: 1, maxNesting: 0 }]);
  expect(findings.longestFunctions[0]).toEqual({ path: 'a.ts', name: 'f', line: 2, lines: 9 });
  expect(findings.syntaxErrors).toMatchObject([{ path: 'b.ts', line: 1 }]);
  expect(findings.notChecked).toEqual({ go: 1 });
  expect(findings.filesChecked).toBe(2);
  expect(findings.duplicates).toEqual([{ path: 'a.ts', duplicateLines: 7, longest: { firstLine: 3, againLine: 11, lines: 7 } }]);
  expect(findings.packages).toEqual([{ name: 'zod', files: 1 }]);
});
