import { describe, expect, it, test } from 'vitest';

import { basicChallenge, isEmptyBasic, parseBasic } from './challenge.ts';

function basic(text: string): string {
  return `Basic ${Buffer.from(text, 'utf8').toString('base64')}`;
}

describe('parseBasic', () => {
  test.each([
    ['user:pass', { username: 'user', password: 'pass' }],
    ['user:a:b:c', { username: 'user', password: 'a:b:c' }],
    ['user:', { username: 'user', password: '' }],
    ['jürgen:pässwörd', { username: 'jürgen', password: 'pässwörd' }],
  ])('reads %s', (text, credentials) => {
    expect(parseBasic(basic(text))).toEqual(credentials);
  });

  it('takes the scheme in any case', () => {
    expect(parseBasic(basic('a:b').replace('Basic', 'bAsIc'))).toEqual({ username: 'a', password: 'b' });
  });

  test.each([
    '',
    'Basic',
    'Basic ',
    'Basic !!!',
    'Bearer abc',
    basic(':pass'),
    basic('nocolon'),
    basic('x'.repeat(9000)),
  ])('refuses %s', (header) => {
    expect(parseBasic(header)).toBeUndefined();
  });
});

describe('isEmptyBasic', () => {
  it('knows the credentials of a client that has none', () => {
    expect(isEmptyBasic(basic(':'))).toBe(true);
    expect(isEmptyBasic(basic(':pass'))).toBe(false);
    expect(isEmptyBasic(basic('user:'))).toBe(false);
  });
});

describe('basicChallenge', () => {
  it('quotes the realm and keeps line breaks out of the header', () => {
    expect(basicChallenge('my "own"\\\r\nX: y')).toBe(String.raw`Basic realm="my \"own\"\\X: y"`);
  });
});
