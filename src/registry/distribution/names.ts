/** Strings that only their parsers make, so that they cannot be swapped; see `reference.ts`. */

declare const repositoryName: unique symbol;
/** The name of a repository, such as `library/alpine` (OCI dist-spec "Pulling manifests": `<name>`). */
export type RepositoryName = string & { readonly [repositoryName]: true };

declare const tagName: unique symbol;
/** A tag, such as `latest`. */
export type Tag = string & { readonly [tagName]: true };

declare const uploadId: unique symbol;
/** The id of an upload session: a UUID in lower case. */
export type UploadId = string & { readonly [uploadId]: true };
