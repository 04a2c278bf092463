import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, readFileSync } from 'node:fs';
import { basename, join, matchesGlob } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, test } from 'vitest';

import config from '../vitest.config.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Everything that may lie at the top, so that the list of files stays a table of contents. */
const TOP_LEVEL = new Set([
  '.ci',
  '.gitattributes',
  '.github',
  '.gitignore',
  '.node-version',
  '.oxfmtrc.json',
  '.oxlintrc.json',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'LICENSE',
  'README.md',
  'SECURITY.md',
  'charts',
  'crds',
  'docs',
  'examples',
  'knip.json',
  'package-lock.json',
  'package.json',
  'scripts',
  'src',
  'test',
  'tsconfig.json',
  'vitest.config.ts',
]);

const CODE = /\.(ts|mjs)$/;
const KEBAB_CASE = /^[a-z0-9]+(-[a-z0-9]+)*(\.test|\.config)?\.(ts|mjs|sh|go|yaml|json)$/;
const MAX_LINES = 400;
const MAX_TEST_LINES = 600;

const FILES = sourceFiles();
const CODE_FILES = FILES.filter((path) => CODE.test(path));

/** Files that git knows or would know, as a newcomer's clone has them. */
function sourceFiles(): string[] {
  // In a container the checkout may belong to another user, which git refuses by itself.
  const args = ['-c', 'safe.directory=*', 'ls-files', '--cached', '--others', '--exclude-standard', '-z'];
  const names = execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).split('\0');
  return names.filter((path) => path !== '' && existsSync(join(ROOT, path))).toSorted();
}

function text(path: string): string {
  return lstatSync(join(ROOT, path)).isFile() ? readFileSync(join(ROOT, path), 'utf8') : '';
}

describe('the layout', () => {
  test('has nothing at the top that is not in the table of contents', () => {
    const top = new Set(FILES.map((path) => path.split('/')[0] ?? ''));

    expect([...top].filter((name) => !TOP_LEVEL.has(name))).toEqual([]);
  });

  test('names code files in kebab case', () => {
    const wrong = FILES.filter(
      (path) => /^(src|test|scripts)\//.test(path) && /\.(ts|mjs|sh|go)$/.test(path),
    );

    expect(wrong.filter((path) => !KEBAB_CASE.test(basename(path)))).toEqual([]);
  });

  test('has no file that only hands on what others export', () => {
    const barrels = CODE_FILES.filter((path) => {
      const lines = text(path)
        .replace(/\/\*[\s\S]*?\*\//g, '')
        .split('\n')
        .map((line) => line.trim())
        .filter((line) => line !== '' && !line.startsWith('//'));
      return lines.length > 0 && lines.every((line) => /^export\b.*\bfrom\b/.test(line));
    });

    expect(barrels).toEqual([]);
  });

  test(`keeps files under ${MAX_LINES} lines, tests under ${MAX_TEST_LINES}`, () => {
    const long = CODE_FILES.filter((path) => {
      const limit = path.startsWith('test/') || path.endsWith('.test.ts') ? MAX_TEST_LINES : MAX_LINES;
      return text(path).split('\n').length - 1 > limit;
    });

    expect(long).toEqual([]);
  });

  test('puts a unit test beside the file that it tests', () => {
    const tests = CODE_FILES.filter((path) => /^src\/.*\.test\.ts$/.test(path));
    const stray = tests.filter((path) => {
      const subject = path.replace(/\.test\.ts$/, '');
      return !CODE_FILES.some(
        (file) => !tests.includes(file) && `${subject}-`.startsWith(file.replace(/\.ts$/, '-')),
      );
    });

    expect(stray).toEqual([]);
  });
});

/** The patterns of each tier's test files. */
function tiers(): string[][] {
  return (config.test?.projects ?? []).flatMap((project) =>
    typeof project === 'object' && 'test' in project ? [project.test?.include ?? []] : [],
  );
}

describe('every file', () => {
  test('of tests runs in one tier', () => {
    const patterns = tiers();
    const homeless = CODE_FILES.filter((path) => path.endsWith('.test.ts')).filter(
      (path) => patterns.filter((include) => include.some((glob) => matchesGlob(path, glob))).length !== 1,
    );

    expect(patterns.length).toBe(4);
    expect(homeless).toEqual([]);
  });

  test('is free of the path of the checkout', () => {
    // A checkout in a folder such as /app says nothing: the image has one too.
    const isTelling = ROOT.split('/').filter((name) => name !== '').length > 1;
    const wrong = FILES.filter((path) => isTelling && text(path).includes(ROOT));

    expect(wrong).toEqual([]);
  });

  test('is free of notes to come back later', () => {
    // Written so that this line is not one of them.
    const marker = /\b(T[O]DO|FIX[M]E|X[X]X)\b/;

    expect(CODE_FILES.filter((path) => marker.test(text(path)))).toEqual([]);
  });

  test('of tests runs: none is skipped or alone', () => {
    const skipped = /\b(?:test|it|describe)\.(?:skip|only|todo)\(/;

    expect(CODE_FILES.filter((path) => path.endsWith('.test.ts') && skipped.test(text(path)))).toEqual([]);
  });

  test('ends with a new line', () => {
    const wrong = FILES.filter((path) => /\.(ts|mjs|sh|go|md|ya?ml|json)$/.test(path)).filter((path) => {
      const content = text(path);
      return content !== '' && !content.endsWith('\n');
    });

    expect(wrong).toEqual([]);
  });
});
