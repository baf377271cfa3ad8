/** Something that must not be in a history, with what shows it. */
export interface Violation {
  /** The check's name; H-numbers where one has it. */
  readonly rule: string;
  readonly text: string;
  /** Entries of the history, or operations made of them. */
  readonly entries: readonly unknown[];
}
