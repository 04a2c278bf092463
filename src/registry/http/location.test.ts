import { expect, test } from 'vitest';

import { baseUrlOf, locationOf } from './location.ts';

const EXTERNAL = { host: 'r.example', baseUrl: 'https://r.example/registry' };

test.each([
  [['r.example', undefined], 'https://r.example/registry/v2/x'],
  [['R.Example.:443', undefined], 'https://r.example/registry/v2/x'],
  [['inner:5000', 'r.example'], 'https://r.example/registry/v2/x'],
  [['inner:5000', undefined], '/v2/x'],
  [['evil.example', 'evil.example'], '/v2/x'],
  [[undefined, undefined], '/v2/x'],
  [['', ''], '/v2/x'],
])('a request by the hosts %j gets %s', (hosts, expected) => {
  expect(locationOf({ baseUrl: baseUrlOf(hosts, EXTERNAL) }, '/v2/x')).toBe(expected);
});

test('without an external URL everything is relative', () => {
  expect(baseUrlOf(['r.example', 'r.example'], undefined)).toBe('');
});
