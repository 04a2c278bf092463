import {
  array,
  assert,
  constantFrom,
  integer,
  nat,
  oneof,
  property,
  string,
  stringMatching,
  tuple,
  uuid,
  type Arbitrary,
} from 'fast-check';
import { describe, expect, it, test } from 'vitest';

import { isDigest, parseDigest } from './digest.ts';
import { DistributionError } from './errors.ts';
import {
  isRepositoryName,
  isTag,
  isUploadId,
  parseReference,
  parseRepositoryName,
  parseTag,
  parseUploadId,
} from './reference.ts';

/** Any UTF-16 code unit: halves of characters as well. */
const CHARACTER = nat({ max: 0xff_ff }).map((code) => String.fromCharCode(code));

/** The grammars of the specification, read character by character: nothing here is shared with the parsers. */
const LOWER = 'abcdefghijklmnopqrstuvwxyz';
const DIGITS = '0123456789';
const HEX = `${DIGITS}abcdef`;

function isAllOf(text: string, allowed: string): boolean {
  return text.split('').every((character) => allowed.includes(character));
}

function isSeparator(text: string): boolean {
  return ['.', '_', '__'].includes(text) || isAllOf(text, '-');
}

/** `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` */
function isComponent(text: string): boolean {
  const words: string[] = [''];
  const separators: string[] = [];
  let inWord = true;
  for (const character of text) {
    const isWord = (LOWER + DIGITS).includes(character);
    if (isWord && !inWord) words.push('');
    if (!isWord && inWord) separators.push('');
    const list = isWord ? words : separators;
    list[list.length - 1] += character;
    inWord = isWord;
  }
  return inWord && words.every((word) => word !== '') && separators.every(isSeparator);
}

function isName(text: string): boolean {
  return text.length <= 255 && text.split('/').every(isComponent);
}

function isTagByGrammar(text: string): boolean {
  const letters = LOWER + LOWER.toUpperCase() + DIGITS;
  const [first = ''] = text;
  return (
    first !== '' && text.length <= 128 && `${letters}_`.includes(first) && isAllOf(text, `${letters}._-`)
  );
}

function isDigestByGrammar(text: string): boolean {
  const colon = text.indexOf(':');
  const lengths: Readonly<Record<string, number>> = { sha256: 64, sha512: 128 };
  const algorithm = text.slice(0, colon);
  const hex = text.slice(colon + 1);
  return (
    colon > 0 && Object.hasOwn(lengths, algorithm) && hex.length === lengths[algorithm] && isAllOf(hex, HEX)
  );
}

function isUuid(text: string): boolean {
  const groups = text.split('-');
  return (
    groups.map((group) => group.length).join() === '8,4,4,4,12' &&
    groups.every((group) => isAllOf(group, HEX))
  );
}

/** Right texts, those with something added, removed or replaced, and any text. */
function near(right: Arbitrary<string>): Arbitrary<string> {
  const odd = constantFrom(
    '',
    '/',
    '//',
    '.',
    '..',
    '_',
    '__',
    '___',
    '-',
    'A',
    'z',
    '0',
    'g',
    ':',
    '\n',
    '\0',
    'é',
    '%2f',
    ' ',
  );
  const changed = tuple(right, nat({ max: 300 }), nat({ max: 2 }), odd).map(
    ([text, position, removed, added]) => {
      const at = position % (text.length + 1);
      return text.slice(0, at) + added + text.slice(at + removed);
    },
  );
  const pieces = array(odd, { maxLength: 8 }).map((parts) => parts.join(''));
  return oneof(right, changed, changed, pieces, string(), string({ unit: CHARACTER }));
}

const NAME = array(stringMatching(/^[a-z0-9]{1,8}(?:(?:\.|_|__|-{1,4})[a-z0-9]{1,8}){0,3}$/), {
  minLength: 1,
  maxLength: 6,
}).map((components) => components.join('/'));
const LONG_NAME = integer({ min: 250, max: 260 }).map((length) => 'a'.repeat(length));
const TAG = stringMatching(/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,140}$/);
const HEX_DIGIT = constantFrom(...HEX.split(''));
const hexOf = (length: number): Arbitrary<string> =>
  string({ unit: HEX_DIGIT, minLength: length, maxLength: length });
const DIGEST = oneof(
  hexOf(64).map((hex) => `sha256:${hex}`),
  hexOf(128).map((hex) => `sha512:${hex}`),
);

const GRAMMARS = [
  {
    what: 'repository names',
    texts: near(oneof(NAME, LONG_NAME)),
    isRight: isName,
    is: isRepositoryName,
    parse: parseRepositoryName,
    code: 'NAME_INVALID',
  },
  {
    what: 'tags',
    texts: near(TAG),
    isRight: isTagByGrammar,
    is: isTag,
    parse: parseTag,
    code: 'TAG_INVALID',
  },
  {
    what: 'digests',
    texts: near(DIGEST),
    isRight: isDigestByGrammar,
    is: isDigest,
    parse: parseDigest,
    code: 'DIGEST_INVALID',
  },
  {
    what: 'upload ids',
    texts: near(uuid()),
    isRight: isUuid,
    is: isUploadId,
    parse: parseUploadId,
    code: 'BLOB_UPLOAD_UNKNOWN',
  },
];

describe('the grammars', () => {
  test.each(GRAMMARS)('of $what are what the parsers take, and nothing else', (grammar) => {
    const { texts, isRight, is, parse, code } = grammar;
    assert(
      property(texts, (text) => {
        const right = isRight(text);

        expect(is(text)).toBe(right);
        expect(right ? parse(text) : codeOf(() => parse(text))).toBe(right ? text : code);
      }),
      { numRuns: 300 },
    );
  });

  it('of tags and digests have no text in common', () => {
    assert(
      property(near(oneof(TAG, DIGEST)), (text) => {
        const right = isTagByGrammar(text) || isDigestByGrammar(text);

        expect(isTagByGrammar(text) && isDigestByGrammar(text)).toBe(false);
        expect(codeOf(() => parseReference(text)) === undefined).toBe(right);
      }),
      { numRuns: 300 },
    );
  });
});

/** Code of the refusal; undefined when there was none. Any other error is thrown on. */
function codeOf(parse: () => unknown): string | undefined {
  try {
    parse();
    return undefined;
  } catch (error) {
    if (error instanceof DistributionError) return error.code;
    throw error;
  }
}
