import { ENGINE_PARTS, loadLanguages } from '../../../wasm/booster/bundle.ts';

/** What @ast-grep/wasm imports as `web-tree-sitter`: an instance of the booster's runtime, with its grammars by name. */
const treeSitter = ENGINE_PARTS.createTreeSitter();

export class Parser extends treeSitter.Parser {
  static override async init(): Promise<void> {
    await treeSitter.Parser.init({
      INITIAL_MEMORY: 8 * 65_536,
      instantiateWasm(imports: WebAssembly.Imports, done: (instance: WebAssembly.Instance, module: WebAssembly.Module) => void) {
        const instance = new WebAssembly.Instance(ENGINE_PARTS.coreModule, imports);
        done(instance, ENGINE_PARTS.coreModule);
        return instance.exports;
      },
    });
  }
}

export const Language = {
  load: async (name: string): Promise<unknown> => {
    const module = ENGINE_PARTS.grammarModules[name as 'javascript'];
    await loadLanguages([name as 'javascript']);
    if (module === undefined) throw new Error(`no grammar ${name}`);
    return treeSitter.Language.loadSync(module);
  },
};
