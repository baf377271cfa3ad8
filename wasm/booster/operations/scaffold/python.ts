import { type Blank, kebab, type Parameter, pascal, snake, type Templates } from './model.ts';

const written = ({ words, type }: Parameter): string => snake(words) + (type === null ? '' : `: ${type}`);

function docstring({ description }: Blank, indent: string): string {
  if (description.length === 0) return '';
  const text = description.map((line, index) => (index === 0 ? line : `${indent}${line}`.trimEnd())).join('\n');
  return `${indent}"""${text}${description.length > 1 ? `\n${indent}` : ''}"""\n`;
}

export const PYTHON_TEMPLATES: Templates = {
  function: (
    blank,
  ) => `def ${snake(blank.words)}(${blank.parameters.map(written).join(', ')})${blank.returns === null ? '' : ` -> ${blank.returns}`}:
${docstring(blank, '    ')}    raise NotImplementedError("${snake(blank.words)}")
`,
  class(blank) {
    const body = blank.parameters.map(({ words }) => `        self.${snake(words)} = ${snake(words)}\n`).join('');
    const doc = docstring(blank, '    ');
    const init = `    def __init__(${['self', ...blank.parameters.map(written)].join(', ')}) -> None:\n${body === '' ? '        pass\n' : body}`;
    return `class ${pascal(blank.words)}:\n${doc}${doc === '' ? '' : '\n'}${init}`;
  },
  interface(blank) {
    const members = blank.parameters.map(({ words, type }) => `    ${snake(words)}: ${type ?? 'object'}\n`).join('');
    const doc = docstring(blank, '    ');
    return `from typing import Protocol\n\n\nclass ${pascal(blank.words)}(Protocol):\n${doc}${members === '' ? '    ...\n' : members}`;
  },
  test: (blank) => `import unittest


class ${pascal(blank.words)}Test(unittest.TestCase):
${docstring(blank, '    ')}${blank.description.length === 0 ? '' : '\n'}    def test_${snake(blank.words)}(self) -> None:
        self.assertEqual(1 + 1, 2)


if __name__ == "__main__":
    unittest.main()
`,
  'http-handler': (blank) => `import json
from http.server import BaseHTTPRequestHandler


class ${pascal(blank.words)}Handler(BaseHTTPRequestHandler):
${docstring(blank, '    ')}${blank.description.length === 0 ? '' : '\n'}    def do_GET(self) -> None:
        body = json.dumps({"path": self.path}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
`,
  cli: (blank) => `import argparse
import sys


def main(argv: list[str] | None = None) -> int:
${docstring(blank, '    ')}    parser = argparse.ArgumentParser(prog="${kebab(blank.words)}")
    parser.add_argument("arguments", nargs="*")
    options = parser.parse_args(argv)
    print(*options.arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
`,
};
