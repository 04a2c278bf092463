import { parseAllDocuments, type Document } from 'yaml';

import { API_VERSION, REGISTRY_KIND } from '../../api/group.ts';
import { AppError } from '../../shared/errors.ts';

/** What is wrong with a manifest file; every line names the file and, where it is known, the place. */
export class ManifestError extends AppError {
  override readonly name = 'ManifestError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super('INVALID_MANIFEST', problems.join('\n'));
    this.problems = problems;
  }
}

/** Values of a Secret or ConfigMap by key, decoded. */
export type Data = ReadonlyMap<string, Uint8Array>;

/** The documents of a manifest file by what local mode does with them. */
export interface Manifests {
  /** The Registry as it was written: neither validated nor defaulted. */
  readonly registry: unknown;
  /** Keys and values of the Secrets of the file, by name. */
  readonly secrets: ReadonlyMap<string, Data>;
  /** Keys and values of the ConfigMaps of the file, by name. */
  readonly configMaps: ReadonlyMap<string, Data>;
}

/**
 * Reads a manifest file as `kubectl apply -f` would: several documents, YAML 1.1 (in which `no` is a boolean).
 *
 * @param text the content of the file
 * @param file its name, for messages
 * @throws ManifestError for bad YAML, no or several Registries, or a kind that local mode has no place for
 */
export function readManifests(text: string, file: string): Manifests {
  const documents = parseAllDocuments(text, { version: '1.1', uniqueKeys: true, prettyErrors: true });
  const parsed = Array.isArray(documents) ? documents : [];
  const broken = parsed.flatMap((document) => yamlProblems(document, file));
  if (broken.length > 0) throw new ManifestError(broken);

  const registries: unknown[] = [];
  const secrets = new Map<string, Data>();
  const configMaps = new Map<string, Data>();
  for (const document of parsed) {
    const object: unknown = document.toJS();
    if (object === null || object === undefined) continue;
    if (field(object, 'apiVersion') === undefined || field(object, 'kind') === undefined)
      throw new ManifestError([`${file}: not a Kubernetes resource: it needs apiVersion and kind`]);
    const kind = kindOf(object);
    if (kind === `${API_VERSION}/${REGISTRY_KIND}`) registries.push(object);
    else if (kind === 'v1/Secret') secrets.set(nameOf(object, file), secretData(object, file));
    else if (kind === 'v1/ConfigMap') configMaps.set(nameOf(object, file), stringData(object, 'data', file));
    else
      throw new ManifestError([
        `${file}: ${kind}: only a Registry, Secrets and ConfigMaps can be used without a cluster`,
      ]);
  }
  if (registries.length !== 1) {
    throw new ManifestError([
      `${file}: must hold exactly one ${REGISTRY_KIND} of ${API_VERSION}, found ${registries.length}`,
    ]);
  }
  return { registry: registries[0], secrets, configMaps };
}

/** The first problem of a document; all that follow come from it. */
function yamlProblems(document: Document.Parsed, file: string): string[] {
  return document.errors.slice(0, 1).map((error) => {
    const place = error.linePos?.[0];
    const where = place === undefined ? '' : `:${place.line}:${place.col}`;
    const [message = error.code] = error.message.split(/ at line \d+, column \d+|\n/);
    return `${file}${where}: ${message}`;
  });
}

function field(object: unknown, name: string): unknown {
  return typeof object === 'object' && object !== null ? Reflect.get(object, name) : undefined;
}

function kindOf(object: unknown): string {
  return `${String(field(object, 'apiVersion'))}/${String(field(object, 'kind'))}`;
}

function nameOf(object: unknown, file: string): string {
  const name = field(field(object, 'metadata'), 'name');
  if (typeof name !== 'string' || name === '')
    throw new ManifestError([`${file}: ${kindOf(object)}: metadata.name: Required value`]);
  return name;
}

function secretData(object: unknown, file: string): Data {
  const decoded = new Map<string, Uint8Array>();
  for (const [key, value] of stringData(object, 'data', file)) {
    const text = new TextDecoder().decode(value);
    const bytes = Buffer.from(text, 'base64');
    if (bytes.toString('base64').replaceAll('=', '') !== text.replaceAll(/[\s=]/g, '')) {
      throw new ManifestError([`${file}: Secret ${nameOf(object, file)}: data[${key}] is not base64`]);
    }
    decoded.set(key, bytes);
  }
  return new Map([...decoded, ...stringData(object, 'stringData', file)]);
}

function stringData(object: unknown, name: string, file: string): Map<string, Uint8Array> {
  const data = field(object, name) ?? {};
  if (typeof data !== 'object')
    throw new ManifestError([`${file}: ${kindOf(object)} ${nameOf(object, file)}: ${name} must be a map`]);
  const entries = Object.entries(data).map(([key, value]): [string, Uint8Array] => {
    if (typeof value !== 'string')
      throw new ManifestError([
        `${file}: ${kindOf(object)} ${nameOf(object, file)}: ${name}[${key}] must be a string`,
      ]);
    return [key, Buffer.from(value)];
  });
  return new Map(entries);
}
