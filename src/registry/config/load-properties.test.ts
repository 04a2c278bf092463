import {
  anything,
  array,
  assert,
  constantFrom,
  json,
  nat,
  oneof,
  property,
  string,
  tuple,
  uint8Array,
} from 'fast-check';
import { describe, expect, it, test } from 'vitest';

import { ConfigInvalid, parseConfig } from './load.ts';

/** Any UTF-16 code unit: halves of characters as well. */
const CHARACTER = nat({ max: 0xff_ff }).map((code) => String.fromCharCode(code));

const RIGHT = `
storage: { driver: filesystem, rootDirectory: /data, sync: Always }
http: { listen: 0.0.0.0:5000, hosts: [a.example.com], externalURL: https://a.example.com, trustedProxies: [10.0.0.0/8] }
auth: { anonymous: Pull, basic: { htpasswdFiles: [/users], realm: here } }
limits: { read: { maxRunning: 5 }, perClient: { requestsPerSecond: 0.5 }, maxBlobBytes: 100 }
uploads: { purgeAfterSeconds: 3600 }
`;

/** Undefined when the configuration is taken; what it is refused with otherwise. */
function problemOf(bytes: Uint8Array | string): unknown {
  try {
    parseConfig(typeof bytes === 'string' ? Buffer.from(bytes) : bytes, '/config');
    return undefined;
  } catch (error) {
    return error;
  }
}

function isOurs(problem: unknown): boolean {
  return problem === undefined || (problem instanceof ConfigInvalid && problem.problems.length > 0);
}

describe('a configuration', () => {
  it('that is right is taken, as the starting point of the others', () => {
    expect(problemOf(RIGHT)).toBeUndefined();
  });

  it('of any bytes, any text and any JSON is taken, or refused with its problems', () => {
    const content = oneof(
      uint8Array(),
      string({ unit: CHARACTER }),
      json(),
      anything().map((value) => JSON.stringify({ storage: value })),
    );
    assert(
      property(content, (bytes) => {
        expect(isOurs(problemOf(bytes ?? ''))).toBe(true);
      }),
      { numRuns: 300 },
    );
  }, 30_000);

  it('that was right until something was changed is taken, or refused with its problems', () => {
    const odd = constantFrom(
      '',
      ' ',
      '\n',
      '\t',
      ':',
      '{',
      '}',
      '[',
      ']',
      '&a ',
      '*a',
      '*b',
      '!!binary ',
      '!x ',
      '|',
      '>',
      '---\n',
      '...\n',
      '? ',
      '- ',
      '#',
      '"',
      "'",
      '%YAML 9.9\n',
      '<<: ',
      '-1',
      '1e99',
      'null',
      '.nan',
      '0x',
      '__proto__: ',
      '\0',
      'é',
      '{}',
      '2001-01-01',
    );
    const edit = tuple(nat({ max: RIGHT.length }), nat({ max: 12 }), odd);
    assert(
      property(array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
        const text = edits.reduce(
          (before, [at, removed, added]) => before.slice(0, at) + added + before.slice(at + removed),
          RIGHT,
        );

        expect(isOurs(problemOf(text))).toBe(true);
      }),
      { numRuns: 500 },
    );
  }, 30_000);
});

test.each([
  ['an alias of nothing', 'storage: *nothing'],
  ['an alias of itself', 'storage: &a [*a]'],
  [
    'aliases that grow a billion times',
    [
      'a: &a [x, x, x, x, x, x, x, x, x, x]',
      ...'bcdefghi'
        .split('')
        .map(
          (name, index) =>
            `${name}: &${name} [${Array.from({ length: 10 }, () => `*${'abcdefghi'[index]}`).join(', ')}]`,
        ),
    ].join('\n'),
  ],
  ['a tag of nobody', 'storage: !mine { driver: memory }'],
  ['lists in lists', '['.repeat(5000)],
  ['several documents', 'storage: { driver: memory }\n---\nauth: {}\n'],
  ['two members of one name', 'storage: { driver: memory }\nstorage: { driver: memory }\n'],
  ['a key that is a list', '? [a, b]\n: c\n'],
  ['nothing', ''],
  ['a byte order mark alone', '\uFEFF'],
])('%s is refused with its problems', (_, text) => {
  const problem = problemOf(text);

  expect(problem).toBeInstanceOf(ConfigInvalid);
});
