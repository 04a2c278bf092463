import { DistributionError } from '../distribution/errors.ts';
import { isTag, type Reference, type Tag } from '../distribution/reference.ts';

/** Tags that one push may point to a manifest; the specification asks for at least ten. */
export const MAX_TAG_PARAMETERS = 64;

/**
 * The `tag` parameters of a push by digest (OCI dist-spec end-7b), each tag once, in their order.
 *
 * @throws DistributionError TAG_INVALID for one that is no tag and for a push by tag, with status 414 for more than
 *   {@link MAX_TAG_PARAMETERS}
 */
export function parseTagParameters(query: URLSearchParams, reference: Reference): readonly Tag[] {
  const texts = new Set(query.getAll('tag'));
  if (texts.size === 0) return [];
  if (reference.kind === 'tag') {
    const message = 'the parameter tag is only for a manifest that is pushed by its digest';
    throw new DistributionError('TAG_INVALID', { message, detail: { reference: reference.tag } });
  }
  if (texts.size > MAX_TAG_PARAMETERS) {
    const message = `at most ${MAX_TAG_PARAMETERS} tags can be given in one request, not ${texts.size}`;
    throw new DistributionError('TAG_INVALID', { status: 414, message });
  }
  return [...texts].map((text) => parseTagParameter(text));
}

function parseTagParameter(text: string): Tag {
  if (isTag(text)) return text;
  const tag = text.slice(0, 128);
  throw new DistributionError('TAG_INVALID', {
    message: `invalid tag ${JSON.stringify(tag)} in the query`,
    detail: { tag },
  });
}
