import type { Terminal } from './terminal.ts';

/** What is left to undo, the last thing first. */
export class Cleanup {
  readonly #steps: { readonly name: string; readonly run: () => Promise<void> | void }[] = [];

  /** `name` completes the sentence "could not …". */
  add(name: string, run: () => Promise<void> | void): void {
    this.#steps.push({ name, run });
  }

  /** Undoes everything; what fails is told and does not keep the rest from being undone. */
  async run(ui: Terminal): Promise<void> {
    for (const { name, run } of this.#steps.splice(0).toReversed()) {
      try {
        await run();
      } catch (error) {
        ui.line(`  ${ui.colors.yellow('warning')} could not ${name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }
}

/** Runs `each` over all items, a few at a time. */
export async function inParallel<T>(items: Iterable<T>, atOnce: number, each: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items].values();
  const worker = async (): Promise<void> => {
    for (const item of queue) await each(item);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}
