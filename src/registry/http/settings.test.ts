import { expect, it, test } from 'vitest';

import { RegistryConfig } from '../../api/registry-config.ts';
import { httpSettings, type HttpSettings } from './settings.ts';

function settingsOf(http: object): HttpSettings {
  return httpSettings(RegistryConfig.parse({ storage: { driver: 'memory' }, auth: {}, http }));
}

test.each([
  ['https://R.example', 'r.example', 'https://r.example'],
  ['https://r.example:443/', 'r.example', 'https://r.example'],
  ['http://r.example:8080/registry/', 'r.example:8080', 'http://r.example:8080/registry'],
])('reads the external URL %s', (externalURL, host, baseUrl) => {
  const settings = settingsOf({ externalURL });

  expect(settings.external).toEqual({ host, baseUrl });
  expect(settings.hosts.has(host)).toBe(true);
});

it('trusts single addresses and networks, of both families', () => {
  const { trustedProxies } = settingsOf({ trustedProxies: ['192.0.2.1', '10.0.0.0/8', 'fd00::/8'] });

  expect(trustedProxies.check('192.0.2.1')).toBe(true);
  expect(trustedProxies.check('192.0.2.2')).toBe(false);
  expect(trustedProxies.check('10.1.2.3')).toBe(true);
  expect(trustedProxies.check('fd12::1', 'ipv6')).toBe(true);
  expect(trustedProxies.check('2001:db8::1', 'ipv6')).toBe(false);
});

it('trusts nobody by default', () => {
  expect(settingsOf({}).trustedProxies.check('127.0.0.1')).toBe(false);
});
