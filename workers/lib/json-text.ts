import type { JsonText } from '../../shared/schemas/common.ts';

/**
 * The JSON of an object some of whose members are JSON texts already: they are spliced in as they are, so a stored value
 * reaches the caller as it was kept, and nothing walks inside it.
 */
export function jsonWith(plain: object, texts: Readonly<Record<string, JsonText | undefined>>): string {
  let json = JSON.stringify(plain);
  for (const [name, text] of Object.entries(texts)) {
    if (text === undefined) continue;
    json = `${json.slice(0, -1)}${json === '{}' ? '' : ','}${JSON.stringify(name)}:${text}}`;
  }
  return json;
}

/** A JSON array of JSON texts. */
export const jsonArray = (items: readonly JsonText[]): string => `[${items.join(',')}]`;
