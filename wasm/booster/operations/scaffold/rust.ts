import { kebab, lineDoc, type Parameter, pascal, snake, type Templates } from './model.ts';

const type = ({ type }: Parameter): string => type ?? 'String';
const written = (one: Parameter): string => `${snake(one.words)}: ${type(one)}`;

export const RUST_TEMPLATES: Templates = {
  function: (
    blank,
  ) => `${lineDoc('///', blank.description)}pub fn ${snake(blank.words)}(${blank.parameters.map(written).join(', ')})${blank.returns === null ? '' : ` -> ${blank.returns}`} {
    todo!("${snake(blank.words)}")
}
`,
  class(blank) {
    const name = pascal(blank.words);
    const fields = blank.parameters.map((one) => `    ${written(one)},\n`).join('');
    const values = blank.parameters.map(({ words }) => snake(words)).join(', ');
    const doc = lineDoc('///', blank.description);
    const struct = fields === '' ? `pub struct ${name};` : `pub struct ${name} {\n${fields}}`;
    return `${doc}${struct}

impl ${name} {
    pub fn new(${blank.parameters.map(written).join(', ')}) -> Self {
        ${fields === '' ? 'Self' : `Self { ${values} }`}
    }
}
`;
  },
  interface(blank) {
    const methods = blank.parameters.map((one) => `    fn ${snake(one.words)}(&self) -> ${type(one)};\n`).join('');
    return `${lineDoc('///', blank.description)}pub trait ${pascal(blank.words)} {\n${methods}}\n`;
  },
  test: (blank) => `#[cfg(test)]
mod ${snake(blank.words)}_tests {
${lineDoc('///', blank.description, '    ')}    #[test]
    fn ${snake(blank.words)}() {
        assert_eq!(1 + 1, 2);
    }
}
`,
  'http-handler': (blank) => `use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

${lineDoc('///', blank.description)}pub fn ${snake(blank.words)}(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request_line = String::new();
    BufReader::new(&stream).read_line(&mut request_line)?;
    let (status, body) = if request_line.starts_with("GET ") {
        ("200 OK", "ok\\n")
    } else {
        ("405 Method Not Allowed", "method not allowed\\n")
    };
    write!(
        stream,
        "HTTP/1.1 {status}\\r\\nContent-Type: text/plain\\r\\nContent-Length: {}\\r\\nConnection: close\\r\\n\\r\\n{body}",
        body.len()
    )
}
`,
  cli: (blank) => `use std::process::ExitCode;

const USAGE: &str = "usage: ${kebab(blank.words)} [--help] [arguments...]";

${lineDoc('///', blank.description)}fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    println!("{}", arguments.join(" "));
    ExitCode::SUCCESS
}
`,
};
