import { expect, test } from 'vitest';

import { normalizeHost } from './namespace.ts';

test.each([
  ['Registry.Example.com', 'registry.example.com'],
  ['registry.example.com:443', 'registry.example.com'],
  ['registry.example.com:80', 'registry.example.com'],
  ['registry.example.com.', 'registry.example.com'],
  ['registry.example.com.:5000', 'registry.example.com:5000'],
  ['10.0.0.1:5000', '10.0.0.1:5000'],
  ['[::1]:5000', '[::1]:5000'],
])('normalizes %s', (host, expected) => {
  expect(normalizeHost(host)).toBe(expected);
});
