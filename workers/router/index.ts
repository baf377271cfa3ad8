import { createApp } from './app.ts';

export { FleetObject } from '../../durable-objects/fleet/fleet-object.ts';

const app = createApp();

export default { fetch: app.fetch };
