import type { KubeObject } from '../../kube/types.ts';
import type { DataByKey } from './facts.ts';
import { read } from './read.ts';

/** A Secret or ConfigMap. */
export type SecretContent = KubeObject;

/** Values of a Secret (`data` in base64) or of a ConfigMap (`data` as text, `binaryData` in base64). */
export function decodeData(object: SecretContent | undefined): DataByKey {
  if (object === undefined) return {};
  const encoding = object.kind === 'Secret' ? 'base64' : 'utf8';
  return { ...decoded(read(object, 'binaryData'), 'base64'), ...decoded(read(object, 'data'), encoding) };
}

function decoded(values: unknown, encoding: BufferEncoding): DataByKey {
  const entries = Object.entries(Object(values));
  return Object.fromEntries(entries.map(([key, value]) => [key, Buffer.from(String(value), encoding)]));
}
