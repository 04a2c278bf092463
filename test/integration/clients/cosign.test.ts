import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { command } from '../../cluster/command.ts';
import { toolPath } from '../../helpers/tools.ts';
import { clientOf } from './client.ts';
import { LAYOUT_TAG, makeImage, type TestImage } from './image.ts';
import { openWorkshop, type Server, type Workshop } from './workshop.ts';

/** No service of sigstore is asked: the key is ours, and there is no transparency log. */
const SIGN = ['--tlog-upload=false', '--use-signing-config=false', '--yes'];
const VERIFY = ['--insecure-ignore-tlog=true'];
/** Signatures under tags, as cosign 1 and 2 make them. */
const BY_TAG = '--new-bundle-format=false';
/** Signatures as referrers, in the format of cosign 2. */
const BY_REFERRER = '--registry-referrers-mode=oci-1-1';

let workshop: Workshop;
let image: TestImage;
let server: Server;
let keys: string;

beforeAll(async () => {
  workshop = await openWorkshop();
  image = await makeImage(workshop.folder, 'cosign.test/image:v1');
  server = await workshop.start({ anonymous: 'Pull' });
  keys = join(workshop.folder, 'keys');
  await mkdir(keys);
  await cosign('generate-key-pair', '--output-key-prefix', join(keys, 'cosign'));
});

afterAll(() => workshop?.[Symbol.asyncDispose]());

function cosign(...args: string[]): Promise<string> {
  const env = { ...server.user, COSIGN_PASSWORD: 'of the key', COSIGN_EXPERIMENTAL: '1' };
  return clientOf('cosign', env)(...args);
}

function key(kind: 'key' | 'pub'): string[] {
  return ['--key', join(keys, `cosign.${kind}`)];
}

/** An image in a repository of its own. @returns its name with the digest */
async function push(repository: string): Promise<string> {
  const name = `${server.host}/${repository}`;
  await clientOf('regctl', server.user)(
    'image',
    'copy',
    `ocidir://${image.layoutFolder}:${LAYOUT_TAG}`,
    `${name}:v1`,
  );
  return `${name}@${image.index}`;
}

async function tags(repository: string): Promise<string[]> {
  const answer = await server.call(`/v2/${repository}/tags/list`);
  return (answer.json() as { tags: string[] }).tags;
}

async function referrers(repository: string): Promise<string[]> {
  const answer = await server.call(`/v2/${repository}/referrers/${image.index}`);
  const { manifests } = answer.json() as { manifests: { artifactType: string }[] };
  return manifests.map(({ artifactType }) => artifactType);
}

/** The tag under which cosign looks for something of the image. */
function tagOf(suffix: string): string {
  return `${image.index.replace(':', '-')}.${suffix}`;
}

describe('cosign', () => {
  it('signs and verifies by the referrers API', async () => {
    const reference = await push('cosign/bundle');

    await expect(cosign('verify', ...key('pub'), ...VERIFY, reference)).rejects.toThrow(
      'no signatures found',
    );
    await cosign('sign', ...key('key'), ...SIGN, reference);
    const verified = await cosign('verify', ...key('pub'), ...VERIFY, reference);

    expect(verified).toContain(image.index);
    expect(await referrers('cosign/bundle')).toEqual(['application/vnd.dev.sigstore.bundle.v0.3+json']);
    expect(await tags('cosign/bundle')).toEqual(['v1']);
  });

  it('signs and verifies by a tag', async () => {
    const reference = await push('cosign/tag');

    await cosign('sign', ...key('key'), ...SIGN, BY_TAG, reference);
    const verified = await cosign('verify', ...key('pub'), ...VERIFY, BY_TAG, reference);

    expect(verified).toContain(image.index);
    expect(await tags('cosign/tag')).toEqual([tagOf('sig'), 'v1']);
    expect(await referrers('cosign/tag')).toEqual([]);
  });

  it('signs by a referrer in the older format', async () => {
    const reference = await push('cosign/referrer');

    await cosign('sign', ...key('key'), ...SIGN, BY_TAG, BY_REFERRER, reference);

    expect(await referrers('cosign/referrer')).toEqual(['application/vnd.dev.cosign.artifact.sig.v1+json']);
    expect(await tags('cosign/referrer')).toEqual(['v1']);
  });

  it('refuses the signature of another key', async () => {
    const reference = await push('cosign/other');
    await cosign('generate-key-pair', '--output-key-prefix', join(keys, 'other'));
    await cosign('sign', '--key', join(keys, 'other.key'), ...SIGN, reference);

    await expect(cosign('verify', ...key('pub'), ...VERIFY, reference)).rejects.toThrow(
      'failed to verify signature',
    );
  });

  it('attests and verifies attestations, and shows them in a tree', async () => {
    const reference = await push('cosign/attest');
    const predicate = join(workshop.folder, 'predicate.json');
    await writeFile(predicate, JSON.stringify({ built: randomBytes(8).toString('hex') }));

    const type = ['--type', 'custom'];
    await cosign('attest', ...key('key'), ...SIGN, ...type, '--predicate', predicate, reference);

    const verified = await cosign('verify-attestation', ...key('pub'), ...VERIFY, ...type, reference);
    expect(verified).toContain('payload');
    expect(await referrers('cosign/attest')).toHaveLength(1);
    expect(await cosign('tree', reference)).toContain('attestation/v1 artifacts via OCI referrer');
  });

  it('attaches a signature that was made elsewhere, and reads it back', async () => {
    const reference = await push('cosign/attach');
    const [payload, signature] = ['payload', 'signature'].map((name) => join(workshop.folder, name)) as [
      string,
      string,
    ];
    await writeFile(payload, await cosign('generate', reference));
    const signed = await cosign('sign-blob', ...key('key'), ...SIGN, BY_TAG, payload);
    await writeFile(signature, signed);

    await cosign('attach', 'signature', '--payload', payload, '--signature', signature, reference);

    expect(await cosign('verify', ...key('pub'), ...VERIFY, BY_TAG, reference)).toContain(image.index);
    expect(JSON.parse(await cosign('download', 'signature', reference))).toMatchObject({
      Base64Signature: signed,
    });
  });

  it('copies an image with its signatures through a folder, and removes them', async () => {
    const reference = await push('cosign/save');
    const folder = join(workshop.folder, 'saved');
    await cosign('sign', ...key('key'), ...SIGN, BY_TAG, reference);

    await cosign('save', '--dir', folder, reference);
    await cosign('load', '--dir', folder, `${server.host}/cosign/load:v1`);
    await cosign('clean', '--force', '--type', 'signature', reference);

    const loaded = `${server.host}/cosign/load@${image.index}`;
    expect(await cosign('verify', ...key('pub'), ...VERIFY, BY_TAG, loaded)).toContain(image.index);
    expect(await tags('cosign/save')).toEqual(['v1']);
  });

  it('verifies without a login, and signs only with one', async () => {
    const reference = await push('cosign/stranger');
    await cosign('sign', ...key('key'), ...SIGN, reference);
    const env = { ...server.stranger, COSIGN_PASSWORD: 'of the key' };
    const stranger = (...args: string[]) => command(toolPath('cosign'), args, { env });

    expect(await stranger('verify', ...key('pub'), ...VERIFY, reference)).toContain(image.index);
    await expect(stranger('sign', ...key('key'), ...SIGN, reference)).rejects.toThrow(/UNAUTHORIZED|401/);
  });
});
