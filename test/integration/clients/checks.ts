import { sha256 } from '../registry/content.ts';
import { INDEX_TYPE, MANIFEST_TYPE, type TestImage } from './image.ts';
import type { Server } from './workshop.ts';

/** What of the image a repository lacks or has with other bytes; empty when everything is there. */
export async function missingParts(server: Server, repository: string, image: TestImage): Promise<string[]> {
  const paths = [
    ...[...image.manifests.keys()].map((digest) => `manifests/${digest}`),
    ...[...image.blobs.keys()].map((digest) => `blobs/${digest}`),
  ];
  const answers = await Promise.all(
    paths.map(async (path) => {
      const { status, body } = await server.call(`/v2/${repository}/${path}`);
      return { path, status, digest: sha256(body) };
    }),
  );
  return answers
    .filter(({ path, status, digest }) => status !== 200 || !path.endsWith(digest))
    .map(({ path, status }) => `${path}: ${status}`);
}

/** Digest that a tag points to, from the answer to HEAD; undefined when there is no such tag. */
export async function digestOfTag(
  server: Server,
  repository: string,
  tag: string,
): Promise<string | undefined> {
  const { status, headers } = await server.call(`/v2/${repository}/manifests/${tag}`, {
    method: 'HEAD',
    headers: { accept: `${INDEX_TYPE}, ${MANIFEST_TYPE}` },
  });
  return status === 200 ? String(headers['docker-content-digest']) : undefined;
}

/** How the blobs of a repository came: mounted from another one, or by bytes. */
export function blobTransfers(server: Server, repository: string): { mounted: number; uploaded: number } {
  const uploads = `/v2/${repository}/blobs/uploads`;
  const own = server.requests().filter(({ path }) => path.startsWith(uploads));
  return {
    mounted: own.filter(({ method, status }) => method === 'POST' && status === 201).length,
    uploaded: own.filter(({ method, status }) => method === 'PUT' && status === 201).length,
  };
}
