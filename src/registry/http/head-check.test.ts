import type { IncomingHttpHeaders } from 'node:http';

import { describe, expect, it, test } from 'vitest';

import { checkHead } from './head-check.ts';

function head(rawHeaders: string[], version = '1.1', headers: IncomingHttpHeaders = {}) {
  const [httpVersionMajor = 1, httpVersionMinor = 0] = version.split('.').map(Number);
  return () => checkHead({ headers, httpVersionMajor, httpVersionMinor, rawHeaders });
}

function coded(coding: string, version = '1.1') {
  return head(['Transfer-Encoding', coding], version, { 'transfer-encoding': coding });
}

describe('checkHead', () => {
  test.each([[[]], [['Host', 'a']], [['hOsT', 'a', 'X-Host', 'host', 'Hose', 'b']]])(
    'takes %j',
    (headers) => {
      expect(head(headers)).not.toThrow();
    },
  );

  it('refuses a second Host, also one that says the same', () => {
    expect(head(['Host', 'a', 'Accept', '*/*', 'host', 'a'])).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED', status: 400 }),
    );
  });

  test.each(['0.9', '2.0'])('refuses HTTP/%s', (version) => {
    expect(head([], version)).toThrow('HTTP/1.1 only');
  });

  it('takes chunks', () => {
    expect(coded('Chunked')).not.toThrow();
  });

  test.each(['gzip, chunked', 'gzip', 'chunked, chunked', ''])('refuses the transfer coding %j', (coding) => {
    expect(coded(coding)).toThrow(expect.objectContaining({ code: 'UNSUPPORTED', status: 400 }));
  });

  it('refuses chunks in HTTP/1.0', () => {
    expect(coded('chunked', '1.0')).toThrow(expect.objectContaining({ code: 'UNSUPPORTED', status: 400 }));
  });
});
