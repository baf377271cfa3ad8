import { cloudflareTest } from '@cloudflare/vitest-plugin';
import { defineConfig } from 'vitest/config';

/**
 * One project per runtime. Groups run one after another: the pure tests first and together, then the Worker runtime, then
 * whole fleets one file at a time, because two fleets on a small machine only make each other's timings lie.
 */
export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          environment: 'node',
          // Generous: no test is about time, and a machine may be busy.
          testTimeout: 30_000,
          sequence: { groupOrder: 0 },
        },
      },
      { test: { name: 'contract', include: ['test/contract/**/*.test.ts'], environment: 'node', sequence: { groupOrder: 0 } } },
      {
        test: {
          name: 'sim',
          include: ['test/sim/**/*.test.ts'],
          environment: 'node',
          testTimeout: 120_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: './wrangler.toml', environment: 'eu-west-1' },
            // jurisdiction() throws in the local runtime, so only real deployments apply it.
            miniflare: {
              bindings: { APPLY_JURISDICTION: 'false', LOCAL: 'true', MEMORY_KEYS: `test:${'a'.repeat(43)}=` },
              // The region's line to the booster is what is tried here; the real one is part of the whole fleets below.
              workers: [
                {
                  name: 'fleet-booster',
                  modules: true,
                  modulesRoot: './test/workerd',
                  scriptPath: './test/workerd/booster-stand-in.mjs',
                  compatibilityDate: '2026-10-15',
                },
              ],
            },
          }),
        ],
        test: {
          name: 'workerd',
          include: ['test/workerd/**/*.test.ts'],
          testTimeout: 30_000,
          hookTimeout: 30_000,
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          environment: 'node',
          testTimeout: 60_000,
          hookTimeout: 60_000,
          fileParallelism: false,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
