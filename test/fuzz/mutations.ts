import type { Random } from './random.ts';
import type { FuzzRequest } from './request.ts';
import { HEADER_NAMES, HEADER_VALUES, METHODS, QUERIES, WORDS } from './vocabulary.ts';

type Mutation = (request: FuzzRequest, random: Random) => FuzzRequest;

const MUTATIONS: readonly Mutation[] = [
  changeMethod,
  changeSegment,
  changeSegment,
  escapeTarget,
  changeText('target'),
  addQuery,
  addQuery,
  changeHeader,
  addHeader,
  addHeader,
  removeHeader,
  repeatHeader,
  changeBody,
  changeBody,
  changeFraming,
];

/** One to three changes of a request. */
export function mutateRequest(request: FuzzRequest, random: Random): FuzzRequest {
  let changed = request;
  for (let count = random.between(1, 3); count > 0; count -= 1)
    changed = random.pick(MUTATIONS)(changed, random);
  return changed;
}

/** Some changes of any bytes. */
export function mutateBytes(bytes: Buffer, random: Random): Buffer {
  let changed = bytes;
  for (let count = random.between(1, 6); count > 0; count -= 1) changed = changeBytes(changed, random);
  return changed;
}

function changeBytes(bytes: Buffer, random: Random): Buffer {
  const at = random.below(bytes.length + 1);
  const length = random.below(Math.min(20, bytes.length - at) + 1);
  const [before, middle, after] = [
    bytes.subarray(0, at),
    bytes.subarray(at, at + length),
    bytes.subarray(at + length),
  ];
  switch (random.below(7)) {
    case 0:
      return Buffer.concat([before, after]);
    case 1:
      return Buffer.concat([before, middle, middle, after]);
    case 2:
      return Buffer.concat([before, random.bytes(random.between(1, 8)), after]);
    case 3:
      return Buffer.concat([before, Buffer.from(random.pick(WORDS), 'latin1'), middle, after]);
    case 4:
      return Buffer.concat([after, before]);
    case 5:
      return Buffer.concat([
        before,
        Buffer.from(random.pick(['\r\n', '\n', '\r', '\0', ' ', ':', '\r\n\r\n'])),
        after,
      ]);
    default:
      return flipBit(bytes, random);
  }
}

function flipBit(bytes: Buffer, random: Random): Buffer {
  if (bytes.length === 0) return bytes;
  const copy = Buffer.from(bytes);
  const at = random.below(copy.length);
  copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8));
  return copy;
}

function changeMethod(request: FuzzRequest, random: Random): FuzzRequest {
  return { ...request, method: random.pick(METHODS) };
}

function changeSegment(request: FuzzRequest, random: Random): FuzzRequest {
  const [path = '', ...query] = request.target.split('?');
  const segments = path.split('/');
  const at = random.below(segments.length + 1);
  const word = random.pick(WORDS);
  const removed = random.below(3);
  segments.splice(at, removed, ...(random.chance(0.8) ? [word] : []));
  return { ...request, target: [segments.join('/'), ...query].join('?') };
}

function escapeTarget(request: FuzzRequest, random: Random): FuzzRequest {
  const escape = (character: string): string =>
    random.chance(0.1) ? `%${character.charCodeAt(0).toString(16).padStart(2, '0').slice(-2)}` : character;
  return { ...request, target: request.target.split('').map(escape).join('') };
}

function changeText(member: 'target' | 'method'): Mutation {
  return (request, random) => {
    const bytes = Buffer.from(request[member], 'latin1');
    return { ...request, [member]: changeBytes(bytes, random).toString('latin1') };
  };
}

function addQuery(request: FuzzRequest, random: Random): FuzzRequest {
  const separator = request.target.includes('?') ? '&' : '?';
  return { ...request, target: `${request.target}${separator}${random.pick(QUERIES)}` };
}

function changeHeader(request: FuzzRequest, random: Random): FuzzRequest {
  if (request.headers.length === 0) return addHeader(request, random);
  const at = random.below(request.headers.length);
  const headers = request.headers.map(([name, value], index): readonly [string, string] =>
    index === at
      ? [name, random.chance(0.5) ? random.pick(HEADER_VALUES) : textChange(value, random)]
      : [name, value],
  );
  return { ...request, headers };
}

function textChange(text: string, random: Random): string {
  return changeBytes(Buffer.from(text, 'latin1'), random).toString('latin1');
}

function addHeader(request: FuzzRequest, random: Random): FuzzRequest {
  const header: readonly [string, string] = [random.pick(HEADER_NAMES), random.pick(HEADER_VALUES)];
  return { ...request, headers: [...request.headers, header] };
}

function removeHeader(request: FuzzRequest, random: Random): FuzzRequest {
  const at = random.below(request.headers.length + 1);
  return { ...request, headers: request.headers.filter((_, index) => index !== at) };
}

function repeatHeader(request: FuzzRequest, random: Random): FuzzRequest {
  if (request.headers.length === 0) return request;
  const header = random.pick(request.headers);
  const copies = Array.from({ length: random.pick([1, 2, 50]) }, () => header);
  return { ...request, headers: [...request.headers, ...copies] };
}

function changeBody(request: FuzzRequest, random: Random): FuzzRequest {
  const body = request.body ?? Buffer.alloc(0);
  const other = random.chance(0.7)
    ? mutateBytes(body, random)
    : random.bytes(random.pick([0, 1, 100, 70_000]));
  return { ...request, body: other };
}

function changeFraming(request: FuzzRequest, random: Random): FuzzRequest {
  const chunks = Array.from({ length: random.between(1, 5) }, () => random.pick([1, 2, 7, 1000, 100_000]));
  return { ...request, framing: random.pick(['length', 'chunked', 'none'] as const), chunks };
}
