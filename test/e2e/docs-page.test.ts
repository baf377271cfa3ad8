import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { expect, it } from 'vitest';
import { startLocalFleet } from '../../scripts/local/fleet.ts';

const BROWSER = '/usr/bin/chromium';

it.skipIf(!existsSync(BROWSER))('the reference page works offline: it asks nobody but the fleet', async () => {
  const stateDir = mkdtempSync(join('/dev/shm', 'fleet-docs-'));
  const fleet = await startLocalFleet({ stateDir, quiet: true, regions: ['eu-west-1'] });
  const browser = await chromium.launch({
    executablePath: BROWSER,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    const asked: string[] = [];
    const failures: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    page.on('pageerror', (error) => failures.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') failures.push(message.text());
    });
    await page.goto(`${fleet.url}/docs`);
    await page.getByText('allocations').first().waitFor({ timeout: 30_000 });
    if (process.env['DOCS_SCREENSHOT'] !== undefined) await page.screenshot({ path: process.env['DOCS_SCREENSHOT'] });
    const elsewhere = asked.filter((url) => !url.startsWith(fleet.url) && !url.startsWith('data:') && !url.startsWith('blob:'));
    expect(elsewhere).toEqual([]);
    expect(failures).toEqual([]);
    expect(asked).toContain(`${fleet.url}/openapi.json`);
  } finally {
    await browser.close();
    await fleet.stop();
    rmSync(stateDir, { recursive: true, force: true });
  }
});
