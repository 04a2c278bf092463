import { registrySchema } from '../../src/api/crd.ts';
import { API_VERSION, REGISTRY_KIND } from '../../src/api/group.ts';
import { MAX_NAME_LENGTH } from '../../src/api/v1alpha1/metadata.ts';
import { RULES } from '../../src/api/v1alpha1/rules.ts';
import { asSchema, cell, type Field, fieldsOf, fieldTable, flatten } from './field-table.ts';
import { type GeneratedFile, MARKDOWN_HEADER } from './generated-file.ts';

/** Reference of the Registry resource: every field, and every rule beside the fields it speaks of. */
export function crdReference(): GeneratedFile {
  const { spec: specSchema, status: statusSchema } = registrySchema().properties ?? {};
  const spec = fieldsOf(asSchema(specSchema), 'spec');
  const status = fieldsOf(asSchema(statusSchema), 'status');
  const [simple, sections] = [spec.filter((field) => !isSection(field)), spec.filter(isSection)];
  const text = [
    MARKDOWN_HEADER,
    INTRODUCTION,
    '## spec',
    fieldTable([...simple, ...sections]),
    ...sections.map((section) => describeSection(section)),
    '### Across sections',
    ...ruleList((path) => path === '' || path === 'spec'),
    '## status',
    'Written by the operator; changes by others are undone.',
    fieldTable(status.flatMap(flatten)),
  ].join('\n\n');
  return { path: 'docs/crd.md', text: `${text}\n` };
}

const INTRODUCTION = `# The ${REGISTRY_KIND} resource

\`${API_VERSION}\`, kind \`${REGISTRY_KIND}\`, short name \`reg\`, namespaced. \`kubectl explain registry.spec\` shows the
same on a cluster.

The smallest useful one:

\`\`\`yaml
apiVersion: ${API_VERSION}
kind: ${REGISTRY_KIND}
metadata: { name: registry }
spec:
  storage: { type: Filesystem, filesystem: { volumeClaim: { size: 10Gi } } }
  auth: { anonymous: PullPush }
\`\`\`

- The name has at most ${MAX_NAME_LENGTH} characters, begins with a letter and has no dots: a Service gets the same name.
- Unknown fields are refused by \`kubectl\`. References are to objects in the same namespace.
- A *quantity* is a number as Kubernetes writes it, such as \`100Gi\` or \`500m\`.
- Rules marked *on change* compare with the stored object. They hold for files that are read without a cluster too.
- Fields of \`affinity\`, \`tolerations\` and \`topologySpreadConstraints\` are those of a Pod, and misspelt ones are refused.`;

function describeSection(section: Field): string {
  const { path } = section;
  const rules = ruleList((rulePath) => rulePath === path || rulePath.startsWith(`${path}.`));
  return [`### ${path}`, fieldTable(flatten(section).slice(1)), ...rules].join('\n\n');
}

function isSection({ schema }: Field): boolean {
  return schema.type === 'object' && schema.properties !== undefined;
}

function ruleList(applies: (path: string) => boolean): string[] {
  const lines = RULES.filter(({ path }) => applies(path)).map(({ path, fieldPath, message, transition }) => {
    const field = `${path}${fieldPath ?? ''}`.replace(/^\./, '');
    return `- \`${field}\`${transition ? ' (on change)' : ''}: ${cell(message)}`;
  });
  return lines.length === 0 ? [] : ['Rules:', lines.join('\n')];
}
