import { describe, expect, it } from 'vitest';

import { createLogger, type LogLevel } from './logger.ts';

function setUp(level: LogLevel) {
  const lines: string[] = [];
  const logger = createLogger({
    level,
    base: { component: 'test' },
    destination: { write: (line) => void lines.push(line) },
  });
  return { logger, lines };
}

describe('createLogger', () => {
  it('writes one JSON object per line, with text for the level and an ISO time', () => {
    const { logger, lines } = setUp('info');

    logger.info({ user: 'a\nb' }, 'hello');

    expect(lines).toHaveLength(1);
    expect(lines[0]?.trim()).not.toContain('\n');
    expect(JSON.parse(lines[0] ?? '')).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string,
      component: 'test',
      user: 'a\nb',
      msg: 'hello',
    });
  });

  it('never writes credentials of a header', () => {
    const { logger, lines } = setUp('info');

    logger.info({
      authorization: 'secret',
      request: { headers: { authorization: 'secret', cookie: 'secret' } },
    });

    expect(lines.join('')).not.toContain('secret');
  });

  it('takes another level while it runs', () => {
    const { logger, lines } = setUp('info');

    logger.debug({}, 'no');
    logger.level = 'debug';
    logger.debug({}, 'yes');

    expect(lines).toHaveLength(1);
  });
});
