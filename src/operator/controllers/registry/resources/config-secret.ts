import { posix } from 'node:path';

import type { Registry } from '../../../../api/v1alpha1/registry.ts';
import type { KubeObject } from '../../../kube/types.ts';
import { POD_PLACEMENT } from '../placement.ts';
import { configBytes, type ServerConfig } from './config.ts';
import { ownedMeta } from './labels.ts';
import { objectNames } from './names.ts';
import { secretData } from './secret-data.ts';

/** Key of the configuration in its Secret, which is the file's name in the pods. */
export const CONFIG_KEY = posix.basename(POD_PLACEMENT.configFile);

/** The server's configuration. It names files and holds no secret; its host names and buckets are nobody's business. */
export function configSecret(registry: Registry, config: ServerConfig): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: ownedMeta(registry, objectNames(registry.metadata.name).config),
    type: 'Opaque',
    data: secretData({ [CONFIG_KEY]: configBytes(config) }),
  };
}
