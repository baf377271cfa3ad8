import { notFound } from '../../shared/errors.ts';
import { problemResponse } from './problem.ts';

export { MemoryObject } from '../../durable-objects/memory/memory-object.ts';
export { PoolObject } from '../../durable-objects/pool/pool-object.ts';
export { RegistryObject } from '../../durable-objects/registry/registry-object.ts';
export { RegionEntry } from './region-entry.ts';

/** A region has no public surface: the router reaches it by its service binding to `RegionEntry`. */
export default {
  fetch(request: Request): Response {
    return problemResponse(notFound('route'), request, '');
  },
} satisfies ExportedHandler;
