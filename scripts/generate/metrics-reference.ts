import { OPERATOR_METRICS } from '../../src/operator/metrics.ts';
import { REGISTRY_METRICS } from '../../src/registry/metrics.ts';
import { cell } from './field-table.ts';
import { type GeneratedFile, MARKDOWN_HEADER } from './generated-file.ts';

interface Metric {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly labels: readonly string[];
}

/** Reference of every metric of both programs. */
export function metricsReference(): GeneratedFile {
  const text = [
    MARKDOWN_HEADER,
    '# Metrics',
    'Both programs serve them in the text format of Prometheus. Names end in their unit; times are in seconds.',
    '## Registry server',
    'At `/metrics` of the operations port of each Pod, 9090.',
    table(REGISTRY_METRICS),
    '## Operator',
    'At `/metrics` of its operations port, 8080.',
    table(OPERATOR_METRICS),
  ].join('\n\n');
  return { path: 'docs/metrics.md', text: `${text}\n` };
}

function table(metrics: readonly Metric[]): string {
  const rows = metrics.map(({ name, type, help, labels }) => {
    const names = labels.map((label) => `\`${label}\``).join(', ');
    return `| \`${name}\` | ${type} | ${names} | ${cell(help)} |`;
  });
  return ['| Name | Type | Labels | Meaning |', '| --- | --- | --- | --- |', ...rows].join('\n');
}
