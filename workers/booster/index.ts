export { BoosterEntry } from './booster-entry.ts';

/** A booster has no public surface: regions reach it by their service binding to `BoosterEntry`. */
export default {
  fetch(): Response {
    return new Response(null, { status: 404 });
  },
} satisfies ExportedHandler;
