import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { WholeLines } from './whole-lines.ts';

describe('whole lines', () => {
  it('are passed on as soon as they are complete, however they were cut', () => {
    const texts = fc.array(fc.string({ unit: 'grapheme' }).map((text) => `${text.replaceAll('\n', '')}\n`));
    const cuts = fc.infiniteStream(fc.integer({ min: 1, max: 5 }));
    fc.assert(
      fc.property(texts, cuts, (lines, sizes) => {
        const written: string[] = [];
        const whole = new WholeLines((text) => written.push(text));
        let rest = Buffer.from(lines.join(''));
        for (const size of sizes) {
          if (rest.byteLength === 0) break;
          whole.push(rest.subarray(0, size));
          rest = rest.subarray(size);
        }

        expect(written.join('')).toBe(Buffer.from(lines.join('')).toString());
        for (const text of written) expect(text.endsWith('\n')).toBe(true);
      }),
    );
  });

  it('keep back what is no line yet', () => {
    const written: string[] = [];
    const whole = new WholeLines((text) => written.push(text));

    whole.push(Buffer.from('{"a":1}\n{"b"'));

    expect(written).toEqual(['{"a":1}\n']);
  });

  it('end somewhere when a process writes without an end', () => {
    const written: string[] = [];
    const whole = new WholeLines((text) => written.push(text));

    for (let n = 0; n < 40; n += 1) whole.push(Buffer.alloc(64 << 10, 'x'));

    expect(written.length).toBeGreaterThan(1);
    for (const text of written) expect(text).toMatch(/^x{1,1200000}\n$/);
  });
});
