import type { RegionEnv } from '../../durable-objects/env.ts';

declare global {
  namespace Cloudflare {
    /** The workerd project runs the Worker of one region. */
    interface Env extends RegionEnv {}
    interface GlobalProps {
      mainModule: typeof import('../../workers/region/index.ts');
    }
  }
}
