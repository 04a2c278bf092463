import { isNotFound } from './errors.ts';
import type { CallOptions, KubeClient, KubeObject, ResourceKind } from './types.ts';

function hasFinalizer({ metadata }: KubeObject, finalizer: string): boolean {
  return metadata.finalizers?.includes(finalizer) ?? false;
}

/**
 * Adds a finalizer.
 *
 * @returns the object as it is now
 * @throws ApiError, a conflict when the object was changed since it was read
 */
export async function addFinalizer<T extends KubeObject>(
  client: KubeClient,
  kind: ResourceKind,
  object: T,
  options: CallOptions & { readonly finalizer: string },
): Promise<T> {
  if (hasFinalizer(object, options.finalizer)) return object;
  return patchFinalizers(client, kind, object, {
    ...options,
    finalizers: [...(object.metadata.finalizers ?? []), options.finalizer],
  });
}

/**
 * Removes a finalizer; the last one lets a deleted object go. Only to be called once everything that the finalizer
 * stands for is done.
 *
 * @returns false when the object was gone already
 * @throws ApiError, a conflict when the object was changed since it was read
 */
export async function removeFinalizer(
  client: KubeClient,
  kind: ResourceKind,
  object: KubeObject,
  options: CallOptions & { readonly finalizer: string },
): Promise<boolean> {
  if (!hasFinalizer(object, options.finalizer)) return true;
  try {
    const finalizers = object.metadata.finalizers?.filter((each) => each !== options.finalizer) ?? [];
    await patchFinalizers(client, kind, object, { ...options, finalizers });
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

function patchFinalizers<T extends KubeObject>(
  client: KubeClient,
  kind: ResourceKind,
  { metadata }: T,
  options: CallOptions & { readonly finalizers: readonly string[] },
): Promise<T> {
  const { uid, resourceVersion } = metadata;
  // A merge patch replaces the list: the version keeps it from undoing what another controller has added.
  const patch = { metadata: { uid, resourceVersion, finalizers: options.finalizers } };
  const key = { namespace: metadata.namespace, name: metadata.name };
  return client.mergePatch<T>(kind, key, patch, options.signal ? { signal: options.signal } : {});
}
