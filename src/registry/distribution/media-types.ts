/** The media types that the registry tells apart. Every other type is just the type of a blob. */

export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
export const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
export const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';

/** Blobs are served with this type: the registry does not store what a descriptor calls them. */
export const OCTET_STREAM = 'application/octet-stream';

/** The types under which a manifest may be pushed. */
export const MANIFEST_MEDIA_TYPES = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST] as const;
export type ManifestMediaType = (typeof MANIFEST_MEDIA_TYPES)[number];

/** Layers whose licence forbids that registries hand them out: clients fetch them elsewhere, or have them already. */
export const NON_DISTRIBUTABLE: ReadonlySet<string> = new Set([
  'application/vnd.docker.image.rootfs.foreign.diff.tar',
  'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
  'application/vnd.oci.image.layer.nondistributable.v1.tar',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd',
]);

/** Docker schema 1, which nothing has written since 2017 and whose signatures nobody can verify. */
export const SCHEMA_1_MEDIA_TYPES: readonly string[] = [
  'application/vnd.docker.distribution.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v1+prettyjws',
];

export function isManifestMediaType(text: string): text is ManifestMediaType {
  return MANIFEST_MEDIA_TYPES.some((type) => type === text);
}

/** True for the two types that list other manifests. */
export function isIndexMediaType(type: ManifestMediaType): boolean {
  return type === OCI_INDEX || type === DOCKER_LIST;
}
