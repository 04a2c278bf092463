import { array, assert, constantFrom, oneof, property, string, nat } from 'fast-check';
import { describe, expect, it } from 'vitest';

import { basicChallenge, isEmptyBasic, parseBasic } from './challenge.ts';

/** Any UTF-16 code unit: halves of characters as well. */
const CHARACTER = nat({ max: 0xff_ff }).map((code) => String.fromCharCode(code));

const USER = string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter((user) => !user.includes(':'));
const PASSWORD = string({ unit: 'grapheme', maxLength: 80 });

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

describe('credentials of the scheme Basic', () => {
  it('come out as they went in, whatever the case of the scheme', () => {
    const scheme = constantFrom('Basic', 'basic', 'BASIC', 'bAsIC');
    assert(
      property(USER, PASSWORD, scheme, (username, password, word) => {
        const header = `${word} ${base64(`${username}:${password}`)}`;

        expect(parseBasic(header)).toEqual({ username, password });
        expect(isEmptyBasic(header)).toBe(false);
      }),
    );
  });

  it('never come out of anything else, and no header makes the parser throw', () => {
    const piece = oneof(
      constantFrom('Basic', ' ', '=', ':', base64('a:b'), base64(':'), '\0', ','),
      string(),
    );
    assert(
      property(array(piece, { maxLength: 6 }), (pieces) => {
        const header = pieces.join('');
        const credentials = parseBasic(header);
        const token = header.replace(/^basic +/i, '').trim();
        const again = credentials && `${credentials.username}:${credentials.password}`;

        expect(again === undefined || again === Buffer.from(token, 'base64').toString()).toBe(true);
        expect(credentials?.username ?? 'a').toMatch(/^[^:]+$/su);
      }),
      { numRuns: 300 },
    );
  });

  it('are asked for by a challenge of one printable line, whatever the realm is', () => {
    assert(
      property(string({ unit: CHARACTER }), (realm) => {
        const challenge = basicChallenge(realm);

        expect(challenge).toMatch(/^Basic realm="(?:[^"\\]|\\["\\])*"$/);
        expect(challenge).toMatch(/^[\x20-\x7e]+$/);
      }),
    );
  });
});
