import { expect, test } from 'vitest';

import type { ServerReport } from '../server.ts';
import { combinedReport } from './combined-report.ts';

const certificate = { sha256Fingerprint: 'aa', notAfter: '2030-01-01T00:00:00.000Z' };
const ready: ServerReport = { status: 'ready', loadedHash: 'h1', version: '1', certificate };
const other = { ...certificate, sha256Fingerprint: 'bb' };

test.each<[string, (ServerReport | undefined)[], boolean, Partial<ServerReport>]>([
  ['is ready when all are', [ready, ready], false, { status: 'ready', loadedHash: 'h1', certificate }],
  ['is not ready while one is missing', [ready, undefined], false, { status: 'unready', loadedHash: '' }],
  ['is not ready when one is not', [ready, { ...ready, status: 'unready' }], false, { status: 'unready' }],
  ['is not ready when one drains', [{ ...ready, status: 'draining' }, ready], false, { status: 'unready' }],
  ['drains whatever its processes say', [ready, undefined], true, { status: 'draining' }],
  [
    'names no hash that one has not loaded',
    [ready, { ...ready, loadedHash: 'h2' }],
    false,
    { loadedHash: '' },
  ],
  [
    'names no certificate that one does not serve',
    [ready, { ...ready, certificate: other }],
    false,
    { status: 'ready', certificate: undefined },
  ],
])('a server of several processes %s', (_, reports, draining, report) => {
  expect(combinedReport(reports, { version: '1', draining })).toMatchObject({ version: '1', ...report });
});
