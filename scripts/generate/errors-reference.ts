import { ERROR_CATALOGUE } from '../../src/registry/distribution/errors.ts';
import { cell } from './field-table.ts';
import { type GeneratedFile, MARKDOWN_HEADER } from './generated-file.ts';

/** Reference of every error code that the registry answers. */
export function errorsReference(): GeneratedFile {
  const rows = ERROR_CATALOGUE.map(
    ({ code, status, message, description }) =>
      `| \`${code}\` | ${status} | ${cell(message)} | ${cell(description)} |`,
  );
  const text = [
    MARKDOWN_HEADER,
    '# Errors of the registry API',
    'An error is answered as `{"errors": [{"code": …, "message": …, "detail": …}]}`, as the OCI distribution specification says. `detail` names what the error is about, where that helps.',
    ['| Code | Status | Message | When |', '| --- | --- | --- | --- |', ...rows].join('\n'),
  ].join('\n\n');
  return { path: 'docs/errors.md', text: `${text}\n` };
}
