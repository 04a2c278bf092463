import { describe, expect, it, test } from 'vitest';

import { checkHead } from './head-check.ts';

function head(rawHeaders: string[], httpVersionMajor = 1) {
  return () => checkHead({ httpVersionMajor, rawHeaders });
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

  test.each([0, 2])('refuses HTTP/%i', (major) => {
    expect(head([], major)).toThrow('HTTP/1.1 only');
  });
});
