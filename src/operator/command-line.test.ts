import { expect, test } from 'vitest';

import { HELP, parseCommandLine, UsageError } from './command-line.ts';
import { OPERATOR_OPTIONS } from './config.ts';

const ENV = { XDG_STATE_HOME: '/state' };

test.each([[[]], [['--help']], [['-h']], [['help']], [['run', '--help']], [['local', '-h']]])(
  '%j asks for help',
  (args) => {
    expect(parseCommandLine(args, ENV)).toEqual({ kind: 'help' });
  },
);

test('run takes every setting as a flag', () => {
  const args = OPERATOR_OPTIONS.flatMap(({ flag }) => [`--${flag}`, 'x']);

  expect(parseCommandLine(['run', ...args, '--kubeconfig', 'file'], ENV)).toEqual({
    kind: 'run',
    kubeconfig: 'file',
    flags: Object.fromEntries(OPERATOR_OPTIONS.map(({ flag }) => [flag, 'x'])),
  });
});

test('local takes a file and has defaults for the rest', () => {
  expect(parseCommandLine(['local', 'registry.yaml'], ENV)).toEqual({
    kind: 'local',
    file: 'registry.yaml',
    listen: '127.0.0.1:5000',
    opsListen: '127.0.0.1:9090',
    stateRoot: '/state/registry-operator',
  });
  expect(
    parseCommandLine(['local', 'a', '--listen', 'x:1', '--ops', 'y:2', '--state', '/s'], ENV),
  ).toMatchObject({
    listen: 'x:1',
    opsListen: 'y:2',
    stateRoot: '/s',
  });
});

test.each([
  [['fly'], 'unknown command "fly"'],
  [['local'], 'FILE is missing'],
  [['local', 'a', 'b'], 'one file at a time'],
  [['run', 'now'], 'unexpected "now"'],
  [['run', '--colour', 'red'], "Unknown option '--colour'"],
])('refuses %j', (args, message) => {
  expect(() => parseCommandLine(args, ENV)).toThrow(UsageError);
  expect(() => parseCommandLine(args, ENV)).toThrow(message);
});

test('the help names every setting', () => {
  for (const { flag, env } of OPERATOR_OPTIONS) {
    expect(HELP).toContain(`--${flag} `);
    expect(HELP).toContain(`(${env})`);
  }
});
