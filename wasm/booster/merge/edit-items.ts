/** The lines of a lazy edit, and where it leaves something out. */
export type EditItem =
  | {
      readonly kind: 'line';
      readonly text: string;
      /** A blank line that only sets off a marker: it may be left out. */
      readonly optional?: boolean;
      /** Its place among the items of the edit as it was written, from 0. */
      readonly row?: number;
    }
  | {
      readonly kind: 'marker';
      /** Not written by the edit: the open edges of a snippet. */
      readonly implicit: boolean;
      /** What the elision costs once it takes a line that is not blank. */
      readonly elisionCost: number;
      /** An open edge that may as well be a true one, where the edit's outermost line is new: it may replace what is there. */
      readonly closable?: boolean;
      /** Width of the marker's own indent; lines left of it are unlikely to be meant. -1: says nothing. */
      readonly indent: number;
      /** As it is written. */
      readonly text?: string;
    };

/** The text of a line; nothing of a marker. */
export const textOf = (item: EditItem | undefined): string => (item?.kind === 'line' ? item.text : '');

/** The edge of an edit that it does not mark. */
export const isOpenEdge = (item: EditItem | undefined): boolean => item?.kind === 'marker' && item.implicit;
