import { type Blank, camel, kebab, lineDoc, type Parameter, pascal, type Templates } from './model.ts';

const type = ({ type }: Parameter): string => type ?? 'any';

/** Go's doc comments begin with the name. */
const doc = (name: string, { description }: Blank): string => {
  const [first, ...rest] = description;
  return first === undefined ? '' : lineDoc('//', [`${name}: ${first}`, ...rest]);
};

export const GO_TEMPLATES: Templates = {
  function: (blank) => `package main

${doc(pascal(blank.words), blank)}func ${pascal(blank.words)}(${blank.parameters.map((one) => `${camel(one.words)} ${type(one)}`).join(', ')})${blank.returns === null ? '' : ` ${blank.returns}`} {
	panic("not implemented: ${pascal(blank.words)}")
}
`,
  class(blank) {
    const name = pascal(blank.words);
    const width = Math.max(0, ...blank.parameters.map(({ words }) => camel(words).length));
    const fields = blank.parameters.map((one) => `\t${camel(one.words).padEnd(width)} ${type(one)}\n`).join('');
    const struct = fields === '' ? `type ${name} struct{}` : `type ${name} struct {\n${fields}}`;
    const parameters = blank.parameters.map((one) => `${camel(one.words)} ${type(one)}`).join(', ');
    const values = blank.parameters.map(({ words }) => `${camel(words)}: ${camel(words)}`).join(', ');
    return `package main

${doc(name, blank)}${struct}

func New${name}(${parameters}) *${name} {
	return &${name}{${values}}
}
`;
  },
  interface(blank) {
    const name = pascal(blank.words);
    const methods = blank.parameters.map((one) => `\t${pascal(one.words)}() ${type(one)}\n`).join('');
    return `package main\n\n${doc(name, blank)}type ${name} interface {\n${methods}}\n`;
  },
  test: (blank) => `package main

import "testing"

${doc(`Test${pascal(blank.words)}`, blank)}func Test${pascal(blank.words)}(t *testing.T) {
	got, want := 1+1, 2
	if got != want {
		t.Errorf("got %d, want %d", got, want)
	}
}
`,
  'http-handler': (blank) => `package main

import (
	"encoding/json"
	"net/http"
)

${doc(`${pascal(blank.words)}Handler`, blank)}func ${pascal(blank.words)}Handler(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(map[string]string{"path": r.URL.Path}); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
`,
  cli: (blank) => `package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
)

${lineDoc('//', blank.description)}func main() {
	flags := flag.NewFlagSet("${kebab(blank.words)}", flag.ExitOnError)
	if err := flags.Parse(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	fmt.Println(strings.Join(flags.Args(), " "))
}
`,
};
