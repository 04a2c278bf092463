import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { clientOf } from './client.ts';
import { openWorkshop, PASSWORD, type Server, USER, type Workshop } from './workshop.ts';

let workshop: Workshop;
let server: Server;
/** The packed chart `sample`. */
let chart: string;

beforeAll(async () => {
  workshop = await openWorkshop();
  server = await workshop.start({ anonymous: 'Pull' });
  const source = join(workshop.folder, 'sample');
  await mkdir(join(source, 'templates'), { recursive: true });
  await writeFile(join(source, 'Chart.yaml'), 'apiVersion: v2\nname: sample\nversion: 1.2.3+build.5\n');
  await writeFile(join(source, 'templates', 'configmap.yaml'), configMap());
  await clientOf('helm', server.user)('package', source, '--destination', workshop.folder);
  chart = join(workshop.folder, 'sample-1.2.3+build.5.tgz');
});

afterAll(() => workshop?.[Symbol.asyncDispose]());

function configMap(): string {
  const text = randomBytes(8).toString('hex');
  return `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  text: "${text}"\n`;
}

describe('helm', () => {
  it('pushes a chart, and pulls, shows and renders it without a login', async () => {
    const helm = clientOf('helm', server.user);
    const stranger = clientOf('helm', server.stranger);
    const reference = `oci://${server.host}/charts/sample`;
    const options = ['--version', '1.2.3+build.5', '--ca-file', workshop.caFile];
    const folder = join(workshop.folder, 'pulled');
    await mkdir(folder);

    await helm('push', chart, `oci://${server.host}/charts`, '--ca-file', workshop.caFile);
    await stranger('pull', reference, ...options, '--destination', folder);

    const pulled = await readFile(join(folder, 'sample-1.2.3+build.5.tgz'));
    expect(pulled.equals(await readFile(chart))).toBe(true);
    expect(await stranger('show', 'chart', reference, ...options)).toContain('version: 1.2.3+build.5');
    expect(await stranger('template', 'demo', reference, ...options)).toContain('name: demo');
    // The tag of the version 1.2.3+build.5: a tag has no plus sign.
    expect((await server.call('/v2/charts/sample/tags/list')).json()).toEqual({
      name: 'charts/sample',
      tags: ['1.2.3_build.5'],
    });
  });

  it('finds the newest version that a range allows', async () => {
    const helm = clientOf('helm', server.user);
    const source = join(workshop.folder, 'ranged');
    await mkdir(source);
    for (const version of ['1.0.0', '1.9.0', '1.10.0', '2.0.0']) {
      await writeFile(join(source, 'Chart.yaml'), `apiVersion: v2\nname: ranged\nversion: ${version}\n`);
      await helm('package', source, '--destination', workshop.folder);
      const packed = join(workshop.folder, `ranged-${version}.tgz`);
      await helm('push', packed, `oci://${server.host}/charts`, '--ca-file', workshop.caFile);
    }

    const options = ['--version', '^1.0.0', '--ca-file', workshop.caFile];

    expect(await helm('show', 'chart', `oci://${server.host}/charts/ranged`, ...options)).toContain('1.10.0');
  });

  it('logs in only with the right password, and pushes only then', async () => {
    const helm = clientOf('helm', server.stranger);
    const login = (password: string) =>
      helm('registry', 'login', server.host, '-u', USER, '-p', password, '--ca-file', workshop.caFile);
    const push = () => helm('push', chart, `oci://${server.host}/login`, '--ca-file', workshop.caFile);

    await expect(push()).rejects.toThrow('basic credential not found');
    await expect(login('wrong')).rejects.toThrow('401');
    await login(PASSWORD);
    await push();
    await helm('registry', 'logout', server.host);

    await expect(push()).rejects.toThrow('basic credential not found');
  });
});
