import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { ConfigurationError } from '../../../client/src/errors.ts';
import type { NodeSide } from '../../../client/src/node-side.ts';
import { endpointOf, resolveTarget } from '../../../client/src/target.ts';

const LOCAL = {
  '/project/.fleet/endpoint': '{"url":"http://127.0.0.1:8787","pid":42}',
  '/project/.fleet/admin-token': 'local-admin\n',
};
const USER = {
  '/home/me/.config/fleet/local.json': '{"endpoint":"http://127.0.0.1:9999","tokenFile":"/state/admin-token"}',
  '/state/admin-token': 'user-admin',
};

function side(env: Record<string, string>, files: Record<string, string>, alive = true): NodeSide {
  return {
    env,
    cwd: '/project',
    home: '/home/me',
    read: (file) => files[file] ?? null,
    join: path.posix.join,
    isAlive: () => alive,
  };
}

describe('target', () => {
  test('options go before everything', () => {
    const node = side({ FLEET_ENDPOINT: 'http://env', FLEET_TOKEN: 'env' }, LOCAL);
    expect(resolveTarget({ endpoint: 'https://fleet.example/v1/', token: 'mine' }, node)).toEqual({
      endpoint: 'https://fleet.example',
      token: 'mine',
      source: 'options',
    });
  });

  test('the environment goes before the local fleet', () => {
    const node = side({ FLEET_ENDPOINT: 'http://env', FLEET_TOKEN: 'env' }, LOCAL);
    expect(resolveTarget({}, node)).toEqual({ endpoint: 'http://env', token: 'env', source: 'environment' });
  });

  test('the fleet of this directory goes before the one started last', () => {
    expect(resolveTarget({}, side({}, { ...LOCAL, ...USER }))).toEqual({
      endpoint: 'http://127.0.0.1:8787',
      token: 'local-admin',
      source: 'state directory',
    });
    expect(resolveTarget({}, side({}, USER))).toEqual({
      endpoint: 'http://127.0.0.1:9999',
      token: 'user-admin',
      source: 'user configuration',
    });
  });

  test('FLEET_STATE_DIR and XDG_CONFIG_HOME are honoured', () => {
    const files = {
      '/elsewhere/endpoint': '{"url":"http://127.0.0.1:1"}',
      '/xdg/fleet/local.json': '{"endpoint":"http://127.0.0.1:2"}',
    };
    expect(resolveTarget({}, side({ FLEET_STATE_DIR: '/elsewhere' }, files)).endpoint).toBe('http://127.0.0.1:1');
    expect(resolveTarget({}, side({ XDG_CONFIG_HOME: '/xdg' }, files)).endpoint).toBe('http://127.0.0.1:2');
  });

  test('a fleet whose process is gone is no fleet', () => {
    expect(() => resolveTarget({}, side({}, LOCAL, false))).toThrow(/No fleet found.*npm start/s);
  });

  test('outside Node there is nothing to find', () => {
    expect(() => resolveTarget({}, null)).toThrow(ConfigurationError);
  });

  test('a token is shown to its own fleet only', () => {
    const node = side({ FLEET_ENDPOINT: 'http://env', FLEET_TOKEN: 'env' }, LOCAL);
    expect(resolveTarget({ endpoint: 'http://stranger' }, node).token).toBeUndefined();
    expect(resolveTarget({ endpoint: 'http://127.0.0.1:8787/' }, node).token).toBe('local-admin');
    expect(resolveTarget({ endpoint: 'http://env' }, node).token).toBe('env');
    expect(resolveTarget({ endpoint: 'http://stranger' }, side({ FLEET_TOKEN: 'env' }, {})).token).toBe('env');
  });

  test.each(['localhost:8787', 'fleet', 'ftp://fleet', 'http://user:secret@fleet'])('refuses the endpoint %s', (endpoint) => {
    expect(() => endpointOf(endpoint, 'endpoint')).toThrow(ConfigurationError);
  });

  test('broken files are as good as none', () => {
    expect(() =>
      resolveTarget({}, side({}, { '/project/.fleet/endpoint': '{', '/home/me/.config/fleet/local.json': '[]' })),
    ).toThrow(/No fleet found/);
  });
});
