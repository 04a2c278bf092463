import * as z from 'zod';

import { RegistryConfig } from '../../src/api/registry-config.ts';
import { asSchema, type Field, fieldsOf, fieldTable, flatten, words } from './field-table.ts';
import { type GeneratedFile, MARKDOWN_HEADER } from './generated-file.ts';

/** Reference of the configuration file of the registry server. */
export function configurationReference(): GeneratedFile {
  const schema = z.toJSONSchema(RegistryConfig, { io: 'input', reused: 'inline' });
  const sections = fieldsOf(schema, '').flatMap((section) => describeSection(section));
  const text = [MARKDOWN_HEADER, INTRODUCTION, ...sections].join('\n\n');
  return { path: 'docs/configuration.md', text: `${text}\n` };
}

const INTRODUCTION = `# Configuration of the registry server

\`registry serve --config FILE\` reads this file as YAML or JSON. The operator writes it for the Pods of a Registry, which
have the defaults for whatever [a Registry has no field for](operations.md#settings-that-a-registry-does-not-have-yet);
by hand it is needed only when the server runs without the operator. Unknown fields are refused.

Secrets are never in the file: it names the files that hold them. A running server takes over changes of \`auth\`,
\`logging\`, \`limits\`, \`delete\`, \`manifests\`, of \`hosts\`, \`externalURL\`, \`trustedProxies\` and \`warning\` below
\`http\`, and of the contents of every file that is named. A change of anything else needs a restart, and the log says
so. What cannot be used is logged with its field and line, and the server goes on with what it has.

\`\`\`yaml
storage:
  driver: filesystem
  rootDirectory: /var/lib/registry
http:
  listen: 0.0.0.0:5000
auth:
  anonymous: Pull
  basic:
    htpasswdFiles: [/etc/registry/htpasswd]
\`\`\``;

function describeSection(section: Field): string[] {
  const { path, schema, required } = section;
  const lead = `${words(schema.description)}${required ? ' Required.' : ''}`;
  const variants: unknown[] = Array.isArray(schema.oneOf) ? schema.oneOf : [];
  if (variants.length === 0) return [`## ${path}`, lead, fieldTable(flatten(section).slice(1))];
  return [
    `## ${path}`,
    lead,
    ...variants.flatMap((variant) => {
      const fields = fieldsOf(asSchema(variant), path);
      const discriminator = fields.find(({ schema: { const: value } }) => value !== undefined);
      return [`### ${path}: ${words(discriminator?.schema.const)}`, fieldTable(fields.flatMap(flatten))];
    }),
  ];
}
