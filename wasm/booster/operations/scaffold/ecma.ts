import { type Blank, blockDoc, camel, kebab, type Parameter, pascal, sentence, type Templates } from './model.ts';

/** JavaScript has its types in the doc comment, TypeScript in the code. */
function ecma(typed: boolean): Templates {
  const type = ({ type }: Parameter): string => type ?? 'unknown';
  const written = (parameter: Parameter): string => camel(parameter.words) + (typed ? `: ${type(parameter)}` : '');
  const list = (blank: Blank): string => blank.parameters.map(written).join(', ');
  const docs = (blank: Blank): string[] => {
    const lines = [...blank.description];
    if (typed) return lines;
    for (const parameter of blank.parameters)
      if (parameter.type !== null) lines.push(`@param {${parameter.type}} ${camel(parameter.words)}`);
    if (blank.returns !== null) lines.push(`@returns {${blank.returns}}`);
    return lines;
  };
  const returns = (blank: Blank, otherwise: string): string => (typed ? `: ${blank.returns ?? otherwise}` : '');
  return {
    function: (blank) => `${blockDoc(docs(blank))}export function ${camel(blank.words)}(${list(blank)})${returns(blank, 'void')} {
  throw new Error('not implemented: ${camel(blank.words)}');
}
`,
    class(blank) {
      const fields = blank.parameters
        .map((one) => (typed ? `  readonly ${written(one)};\n` : `  ${camel(one.words)};\n`))
        .join('');
      const body = blank.parameters.map(({ words }) => `    this.${camel(words)} = ${camel(words)};\n`).join('');
      const constructor = blank.parameters.length === 0 ? '' : `${fields}\n  constructor(${list(blank)}) {\n${body}  }\n`;
      return `${blockDoc(blank.description)}export class ${pascal(blank.words)} {\n${constructor}}\n`;
    },
    interface: typed
      ? (blank) =>
          `${blockDoc(blank.description)}export interface ${pascal(blank.words)} {\n${blank.parameters.map((one) => `  readonly ${written(one)};\n`).join('')}}\n`
      : null,
    test: (blank) => `import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

${blockDoc(blank.description)}describe('${sentence(blank.words)}', () => {
  it('works', () => {
    assert.equal(1 + 1, 2);
  });
});
`,
    'http-handler': (
      blank,
    ) => `${blockDoc(blank.description)}export async function ${camel(blank.words)}(${typed ? 'request: Request' : 'request'})${typed ? ': Promise<Response>' : ''} {
  if (request.method !== 'GET') {
    return new Response('method not allowed', { status: 405, headers: { allow: 'GET' } });
  }
  const url = new URL(request.url);
  return Response.json({ path: url.pathname });
}
`,
    cli: (blank) => `#!/usr/bin/env node
import { parseArgs } from 'node:util';

const USAGE = 'usage: ${kebab(blank.words)} [--help] [arguments...]';

${blockDoc(blank.description)}export function main(${typed ? 'args: string[]' : 'args'})${typed ? ': number' : ''} {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { help: { type: 'boolean', short: 'h' } },
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  console.log(positionals.join(' '));
  return 0;
}

process.exitCode = main(process.argv.slice(2));
`,
  };
}

export const JAVASCRIPT_TEMPLATES = ecma(false);
export const TYPESCRIPT_TEMPLATES = ecma(true);
