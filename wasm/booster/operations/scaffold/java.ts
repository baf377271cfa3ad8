import { type Blank, blockDoc, camel, kebab, type Parameter, pascal, type Templates } from './model.ts';

const type = ({ type }: Parameter): string => type ?? 'Object';
const written = (one: Parameter): string => `${type(one)} ${camel(one.words)}`;
const list = (blank: Blank): string => blank.parameters.map(written).join(', ');

export const JAVA_TEMPLATES: Templates = {
  // Java has no function outside a class.
  function: (blank) => `public final class ${pascal(blank.words)} {
    private ${pascal(blank.words)}() {}

${blockDoc(blank.description, '    ')}    public static ${blank.returns ?? 'void'} ${camel(blank.words)}(${list(blank)}) {
        throw new UnsupportedOperationException("not implemented: ${camel(blank.words)}");
    }
}
`,
  class(blank) {
    const fields = blank.parameters.map((one) => `    private final ${written(one)};\n`).join('');
    const body = blank.parameters.map(({ words }) => `        this.${camel(words)} = ${camel(words)};\n`).join('');
    const constructor = `    public ${pascal(blank.words)}(${list(blank)}) {\n${body}    }\n`;
    return `${blockDoc(blank.description)}public class ${pascal(blank.words)} {\n${fields}${fields === '' ? '' : '\n'}${constructor}}\n`;
  },
  interface(blank) {
    const methods = blank.parameters.map((one) => `    ${type(one)} ${camel(one.words)}();\n`).join('');
    return `${blockDoc(blank.description)}public interface ${pascal(blank.words)} {\n${methods}}\n`;
  },
  test: (blank) => `import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

${blockDoc(blank.description)}class ${pascal(blank.words)}Test {
    @Test
    void ${camel(blank.words)}() {
        assertEquals(2, 1 + 1);
    }
}
`,
  'http-handler': (blank) => `import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpHandler;
import java.io.IOException;
import java.nio.charset.StandardCharsets;

${blockDoc(blank.description)}public class ${pascal(blank.words)}Handler implements HttpHandler {
    @Override
    public void handle(HttpExchange exchange) throws IOException {
        boolean allowed = "GET".equals(exchange.getRequestMethod());
        byte[] body = (allowed ? "ok" : "method not allowed").getBytes(StandardCharsets.UTF_8);
        exchange.sendResponseHeaders(allowed ? 200 : 405, body.length);
        try (var stream = exchange.getResponseBody()) {
            stream.write(body);
        }
    }
}
`,
  cli: (blank) => `${blockDoc(blank.description)}public final class ${pascal(blank.words)} {
    private static final String USAGE = "usage: ${kebab(blank.words)} [--help] [arguments...]";

    private ${pascal(blank.words)}() {}

    public static void main(String[] args) {
        if (args.length > 0 && args[0].equals("--help")) {
            System.out.println(USAGE);
            return;
        }
        System.out.println(String.join(" ", args));
    }
}
`,
};
