/**
 * `npm run rotate-keys [-- --drop-old]`: a new signing key for the fleet in `FLEET_STATE_DIR`. Tokens already given out
 * stay good until they expire, unless the old keys are dropped.
 */
import path from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from './checks.ts';
import { openAdminToken, rotateSigningKeys } from './local/keys.ts';
import { openStateDir, readIfPresent } from './local/state-dir.ts';

const { values } = parseArgs({ options: { 'drop-old': { type: 'boolean', default: false } } });
const dropOld = values['drop-old'];

const state = openStateDir(path.resolve(ROOT, process.env['FLEET_STATE_DIR'] || '.fleet'));
const keys = await rotateSigningKeys(state, { dropOld });
await openAdminToken(state, keys);

console.log(`Signing with ${keys.keys[0]?.kid}; ${keys.keys.length} key${keys.keys.length === 1 ? '' : 's'} verify.`);
console.log(dropOld ? 'Every token made before is void. A new admin token was written.' : 'Tokens made before stay good.');
if (readIfPresent(state.endpoint) !== null) console.log('Restart the running fleet to use the new key.');
console.log(`Deployed: npx wrangler secret put FLEET_SIGNING_KEYS --env router < ${state.signingKeys}`);
