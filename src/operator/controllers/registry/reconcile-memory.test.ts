import { describe, expect, it } from 'vitest';

import type { KubeObject } from '../../kube/types.ts';
import { RegistryMemory } from './reconcile-memory.ts';

function version(resourceVersion: string, uid = 'a'): KubeObject {
  return { apiVersion: 'v1', kind: 'Registry', metadata: { name: 'reg', uid, resourceVersion } };
}

describe('RegistryMemory', () => {
  it('prefers our own last write to a cache that is late, over several writes', () => {
    const memory = new RegistryMemory();

    memory.remember(version('1'), version('2'));
    memory.remember(version('2'), version('3'));

    expect(memory.newest(version('1'))).toEqual(version('3'));
    expect(memory.newest(version('2'))).toEqual(version('3'));
  });

  it('prefers the cache as soon as it shows our write or a later one', () => {
    const memory = new RegistryMemory();
    memory.remember(version('1'), version('2'));

    expect(memory.newest(version('3'))).toEqual(version('3'));
    expect(memory.newest(version('1'))).toEqual(version('1'));
  });

  it('does not confuse Registries, and forgets one that is gone', () => {
    const memory = new RegistryMemory();
    memory.remember(version('1'), version('2'));

    expect(memory.newest(version('1', 'b'))).toEqual(version('1', 'b'));
    memory.forget('a');
    expect(memory.newest(version('1'))).toEqual(version('1'));
  });

  it('does not take a write without effect for a newer version', () => {
    const memory = new RegistryMemory();

    memory.remember(version('1'), version('1'));

    expect(memory.newest(version('1'))).toEqual(version('1'));
  });
});
