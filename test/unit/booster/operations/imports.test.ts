import { beforeAll, describe, expect, it } from 'vitest';

import type { Engine } from '../../../../wasm/booster/engine.ts';
import { runOperation } from '../../../../wasm/booster/operations/run.ts';
import type { BoosterResult, ImportChanges } from '../../../../wasm/booster/operations/task.ts';
import { newEngine } from '../../../lib/booster.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await newEngine();
});

const run = (language: string, original: string, imports: ImportChanges): BoosterResult =>
  runOperation(engine, { operation: 'imports', language, original, imports });

const output = (result: BoosterResult): unknown => (result.ok ? result.output : `${result.reason}: ${result.detail}`);

type Case = readonly [what: string, language: string, source: string, changes: ImportChanges, expected: string];

const ADDED: readonly Case[] = [
  [
    'into a list',
    'javascript',
    "import { a, c } from 'm';\nx(a, c);\n",
    { add: ["import { b } from 'm'"] },
    "import { a, b, c } from 'm';\nx(a, c);\n",
  ],
  [
    'into a list on several lines',
    'typescript',
    'import {\n  a,\n  c,\n} from "m";\n',
    { add: [{ module: 'm', names: ['d as e'] }] },
    'import {\n  a,\n  c,\n  d as e,\n} from "m";\n',
  ],
  [
    'a default beside names',
    'javascript',
    "import { a } from 'm'\n",
    { add: ["import d from 'm'"] },
    "import d, { a } from 'm'\n",
  ],
  [
    'names beside a default',
    'javascript',
    "import d from 'm'\n",
    { add: ["import { a, b } from 'm'"] },
    "import d, { a, b } from 'm'\n",
  ],
  [
    'names beside a namespace',
    'javascript',
    "import * as n from 'm';\n",
    { add: ["import { a } from 'm'"] },
    "import * as n from 'm';\nimport { a } from 'm';\n",
  ],
  ['what is there', 'javascript', "import { a } from 'm';\n", { add: ['import { a } from "m"'] }, "import { a } from 'm';\n"],
  [
    'a type that is there as a value',
    'typescript',
    "import { A } from 'm';\n",
    { add: ["import type { A } from 'm'"] },
    "import { A } from 'm';\n",
  ],
  [
    'a type beside values',
    'typescript',
    "import { a } from 'm';\n",
    { add: ["import type { T } from 'm'"] },
    "import { a } from 'm';\nimport type { T } from 'm';\n",
  ],
  [
    'in the file’s own style',
    'javascript',
    'import a from "a"\nimport c from "c"\n',
    { add: ["import b from 'b';"] },
    'import a from "a"\nimport b from "b"\nimport c from "c"\n',
  ],
  [
    'the first, behind a directive',
    'javascript',
    "'use client';\n\nf();\n",
    { add: ["import 'x'"] },
    "'use client';\n\nimport 'x';\n\nf();\n",
  ],
  ['the first of all', 'javascript', 'f();\n', { add: ["import x from 'x'"] }, "import x from 'x';\n\nf();\n"],
  [
    'relative ones behind packages',
    'javascript',
    "import a from 'a';\n\nimport b from './b';\n",
    { add: ["import c from './c'", "import d from 'd'"] },
    "import a from 'a';\nimport d from 'd';\n\nimport b from './b';\nimport c from './c';\n",
  ],
  [
    'with CRLF',
    'javascript',
    "import a from 'a';\r\nf();\r\n",
    { add: ["import b from 'b'"] },
    "import a from 'a';\r\nimport b from 'b';\r\nf();\r\n",
  ],
  ['a new block', 'python', 'import os\n\nx = 1\n', { add: ['import requests'] }, 'import os\n\nimport requests\n\nx = 1\n'],
  ['into from', 'python', 'from m import a, c\n', { add: ['from m import b'] }, 'from m import a, b, c\n'],
  [
    'into parentheses',
    'python',
    'from m import (\n    a,\n    c as d,\n)\n',
    { add: ['from m import e'] },
    'from m import (\n    a,\n    c as d,\n    e,\n)\n',
  ],
  ['behind a docstring', 'python', '"""Doc."""\nx = 1\n', { add: ['import os'] }, '"""Doc."""\n\nimport os\n\nx = 1\n'],
  [
    'the future first',
    'python',
    '"""Doc."""\n\nimport os\n',
    { add: ['from __future__ import annotations'] },
    '"""Doc."""\n\nfrom __future__ import annotations\n\nimport os\n',
  ],
  ['a bare module', 'python', 'import os\nimport sys\n', { add: ['re'] }, 'import os\nimport re\nimport sys\n'],
  ['submodules of one package', 'python', 'import a.b\n', { add: ['import a.c'] }, 'import a.b\nimport a.c\n'],
  [
    'into a block',
    'go',
    'package m\n\nimport (\n\t"fmt"\n\t"os"\n\n\t"x.org/y"\n)\n\nfunc f() {}\n',
    { add: ['net/http', { module: 'x.org/z', namespace: 'zz' }] },
    'package m\n\nimport (\n\t"fmt"\n\t"net/http"\n\t"os"\n\n\t"x.org/y"\n\tzz "x.org/z"\n)\n\nfunc f() {}\n',
  ],
  [
    'a second',
    'go',
    'package m\n\nimport "os"\n\nfunc f() {}\n',
    { add: ['import "fmt"'] },
    'package m\n\nimport (\n\t"fmt"\n\t"os"\n)\n\nfunc f() {}\n',
  ],
  ['the first', 'go', 'package m\n\nfunc f() {}\n', { add: ['import "fmt"'] }, 'package m\n\nimport "fmt"\n\nfunc f() {}\n'],
  [
    'into a list',
    'rust',
    'use std::collections::{BTreeMap, HashSet};\n',
    { add: ['use std::collections::HashMap;'] },
    'use std::collections::{BTreeMap, HashMap, HashSet};\n',
  ],
  [
    'beside',
    'rust',
    '//! Doc.\n\nuse std::fmt;\n\nuse crate::a;\n',
    { add: ['use std::io', 'use serde::Serialize;'] },
    '//! Doc.\n\nuse std::fmt;\nuse std::io;\n\nuse serde::Serialize;\n\nuse crate::a;\n',
  ],
  [
    'the first, behind attributes',
    'rust',
    '#![allow(x)]\nfn f() {}\n',
    { add: ['use a::b;'] },
    '#![allow(x)]\n\nuse a::b;\n\nfn f() {}\n',
  ],
  [
    'in order',
    'java',
    'package p;\n\nimport a.A;\nimport c.C;\n\nclass X {}\n',
    { add: ['import b.B;', { module: 'b.D', names: ['e'], static: true }] },
    'package p;\n\nimport a.A;\nimport b.B;\nimport c.C;\n\nimport static b.D.e;\n\nclass X {}\n',
  ],
  ['the first', 'java', 'package p;\n\nclass X {}\n', { add: ['b.B'] }, 'package p;\n\nimport b.B;\n\nclass X {}\n'],
];

const REMOVED: readonly Case[] = [
  [
    'one of a list',
    'javascript',
    "import d, { a, b as c } from 'm';\nd(c);\n",
    { remove: ["import { a } from 'm'"] },
    "import d, { b as c } from 'm';\nd(c);\n",
  ],
  [
    'by its local name',
    'javascript',
    "import d, { a, b as c } from 'm';\nd(a);\n",
    { remove: ['c'] },
    "import d, { a } from 'm';\nd(a);\n",
  ],
  [
    'the whole list',
    'javascript',
    "import d, { a, b } from 'm';\nd();\n",
    { remove: ["import { a, b } from 'm'"] },
    "import d from 'm';\nd();\n",
  ],
  ['the default', 'javascript', "import d, { a } from 'm';\na();\n", { remove: ['d'] }, "import { a } from 'm';\na();\n"],
  ['a side effect', 'javascript', "import 'x';\nimport 'y';\n", { remove: ["import 'x'"] }, "import 'y';\n"],
  ['with its comment behind it', 'javascript', "import a from 'a'; // why\nf();\n", { remove: ['a'] }, 'f();\n'],
  ['a module by its name', 'python', 'import os\nimport sys\n\nsys.exit()\n', { remove: ['os'] }, 'import sys\n\nsys.exit()\n'],
  [
    'one of parentheses',
    'python',
    'from m import (\n    a,\n    b,\n)\na()\n',
    { remove: ['from m import b'] },
    'from m import (\n    a,\n)\na()\n',
  ],
  [
    'a name that comes back from elsewhere',
    'python',
    'from m import a\na()\n',
    { remove: ['from m import a'], add: ['from n import a'] },
    'from n import a\n\na()\n',
  ],
  [
    'of a block',
    'go',
    'package m\n\nimport (\n\t"fmt"\n\t"os"\n)\n\nfunc f() { os.Exit(1) }\n',
    { remove: ['fmt'] },
    'package m\n\nimport (\n\t"os"\n)\n\nfunc f() { os.Exit(1) }\n',
  ],
  [
    'the last of a block',
    'go',
    'package m\n\nimport (\n\t"fmt"\n)\n\nfunc f() {}\n',
    { remove: ['import "fmt"'] },
    'package m\n\nfunc f() {}\n',
  ],
  ['of a list', 'rust', 'use a::{b, c as d};\nfn f() { b() }\n', { remove: ['d'] }, 'use a::{b};\nfn f() { b() }\n'],
  [
    'one of several',
    'java',
    'import a.A;\nimport b.B;\n\nclass X { A a; }\n',
    { remove: ['b.B'] },
    'import a.A;\n\nclass X { A a; }\n',
  ],
  ['what is not there', 'java', 'import a.A;\n', { remove: ['import z.Z;'] }, 'import a.A;\n'],
];

const TIDIED: readonly Case[] = [
  [
    'blocks by module',
    'javascript',
    "import c from './c';\nimport { z, a } from 'b';\n// about a\nimport a from 'a'; // tail\n\nimport y from 'y';\nimport x from 'x';\n",
    { sort: true },
    "// about a\nimport a from 'a'; // tail\nimport { a, z } from 'b';\nimport c from './c';\n\nimport x from 'x';\nimport y from 'y';\n".replace(
      '{ a, z }',
      '{ a, z }',
    ),
  ],
  [
    'never past a side effect',
    'javascript',
    "import b from 'b';\nimport './setup';\nimport a from 'a';\n",
    { sort: true },
    "import b from 'b';\nimport './setup';\nimport a from 'a';\n",
  ],
  [
    'the comment at the top stays',
    'javascript',
    "// @ts-check\nimport b from 'b';\nimport a from 'a';\n",
    { sort: true },
    "// @ts-check\nimport a from 'a';\nimport b from 'b';\n",
  ],
  [
    'one module once',
    'typescript',
    "import d from 'm';\nimport { a } from 'm';\nimport type { T } from 'm';\nimport { b, a } from 'm';\nimport * as n from 'm';\n",
    { dedupe: true },
    "import d, { a, b } from 'm';\nimport type { T } from 'm';\nimport * as n from 'm';\n",
  ],
  [
    'but not with comments inside',
    'javascript',
    "import { a } from 'm';\nimport { b /* why */ } from 'm';\n",
    { dedupe: true },
    "import { a } from 'm';\nimport { b /* why */ } from 'm';\n",
  ],
  [
    'attributes stay apart',
    'javascript',
    "import a from './a.json' with { type: 'json' };\nimport { b } from './a.json';\n",
    { dedupe: true, sort: true },
    "import a from './a.json' with { type: 'json' };\nimport { b } from './a.json';\n",
  ],
  [
    'plain before from',
    'python',
    'from b import z, C, A_B\nimport sys\nfrom . import x\nimport os\nfrom a import y\n',
    { sort: true },
    'import os\nimport sys\nfrom a import y\nfrom b import A_B, C, z\nfrom . import x\n',
  ],
  [
    'never past a star',
    'python',
    'import b\nfrom x import *\nimport a\n',
    { sort: true },
    'import b\nfrom x import *\nimport a\n',
  ],
  [
    'from twice',
    'python',
    'from a import x\nfrom a import y, x\nimport os\nimport os\n',
    { dedupe: true },
    'from a import x, y\nimport os\n',
  ],
  [
    'not what is in a try',
    'python',
    'import b\ntry:\n    import z\nexcept ImportError:\n    z = None\nimport a\n',
    { sort: true },
    'import b\ntry:\n    import z\nexcept ImportError:\n    z = None\nimport a\n',
  ],
  [
    'blocks of Go',
    'go',
    'package m\n\nimport (\n\t"os"\n\t"fmt" // f\n\t"os"\n\n\t_ "z.org/z"\n\ta "b.org/a"\n)\n',
    { sort: true, dedupe: true },
    'package m\n\nimport (\n\t"fmt" // f\n\t"os"\n\n\ta "b.org/a"\n\t_ "z.org/z"\n)\n',
  ],
  [
    'cgo stays',
    'go',
    'package m\n\n// #include <x.h>\nimport "C"\nimport "b"\nimport "a"\n',
    { sort: true },
    'package m\n\n// #include <x.h>\nimport "C"\nimport "a"\nimport "b"\n',
  ],
  [
    'uses',
    'rust',
    'use std::io;\nuse std::fmt::{Write, self, Display};\n#[cfg(test)]\nuse a::b;\nuse self::c;\nuse std::io;\n',
    { sort: true, dedupe: true },
    'use self::c;\n#[cfg(test)]\nuse a::b;\nuse std::fmt::{self, Display, Write};\nuse std::io;\n',
  ],
  [
    'Java',
    'java',
    'package p;\n\nimport b.B;\nimport a.*;\nimport static c.C.d;\nimport a.A;\nimport b.B;\n',
    { sort: true, dedupe: true },
    'package p;\n\nimport a.*;\nimport a.A;\nimport b.B;\nimport static c.C.d;\n',
  ],
];

const REFUSED: readonly (readonly [what: string, language: string, source: string, changes: ImportChanges, reason: string])[] = [
  ['a taken name', 'javascript', "import { a } from 'm';\n", { add: ["import { a } from 'n'"] }, 'ambiguous'],
  ['a declared name', 'javascript', 'const a = 1;\n', { add: ["import { a } from 'n'"] }, 'ambiguous'],
  ['what is still used', 'javascript', "import { a } from 'm';\na();\n", { remove: ['a'] }, 'ambiguous'],
  ['what is still used as a type', 'typescript', "import type { A } from 'm';\nlet a: A;\n", { remove: ['A'] }, 'ambiguous'],
  ['still used', 'python', 'import os.path\nos.getcwd()\n', { remove: ['import os.path'] }, 'ambiguous'],
  ['still used', 'go', 'package m\n\nimport "fmt"\n\nfunc f() { fmt.Println() }\n', { remove: ['fmt'] }, 'ambiguous'],
  ['still used', 'java', 'import a.A;\nclass X { A a; }\n', { remove: ['a.A'] }, 'ambiguous'],
  ['code beside the import', 'javascript', '', { add: ["import a from 'm'; evil()"] }, 'does_not_parse'],
  ['code in a part', 'javascript', '', { add: [{ module: "m'; evil(); '", names: ['a'] }] }, 'does_not_parse'],
  ['code in a part', 'python', '', { add: [{ module: 'os\nevil()' }] }, 'does_not_parse'],
  ['no import', 'python', '', { add: ['import'] }, 'does_not_parse'],
  ['a shared line', 'python', 'import a; import b\n', { remove: ['import a'] }, 'ambiguous'],
  ['a broken file', 'python', 'import\n', { sort: true }, 'does_not_parse'],
  ['a name the language has no import for', 'java', '', { add: [{ module: 'a', namespace: 'b' }] }, 'unsupported'],
  ['no imports', 'css', 'a { }', { sort: true }, 'unsupported'],
  ['too many', 'python', '', { add: Array.from({ length: 101 }, (_, index) => `m${index}`) }, 'too_large'],
];

describe('imports', () => {
  it.each(ADDED)('B140: adds %s (%s)', (_, language, source, changes, expected) => {
    expect(output(run(language, source, changes))).toBe(expected);
  });

  it.each(REMOVED)('B141: removes %s (%s)', (_, language, source, changes, expected) => {
    expect(output(run(language, source, changes))).toBe(expected);
  });

  it.each(TIDIED)('B142: tidies %s (%s)', (_, language, source, changes, expected) => {
    expect(output(run(language, source, changes))).toBe(expected);
  });

  it.each(REFUSED)('B143: refuses %s (%s)', (_, language, source, changes, reason) => {
    expect(run(language, source, changes)).toMatchObject({ ok: false, reason });
  });

  it('B144: doing it again changes nothing', () => {
    for (const [what, language, , changes, expected] of [...ADDED, ...REMOVED, ...TIDIED]) {
      // A removal whose name is back from elsewhere has nothing left to remove.
      expect([what, output(run(language, expected, changes))]).toEqual([what, expected]);
    }
  });
});
