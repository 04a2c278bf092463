import type * as z from 'zod';

import { labels, obj, word } from '../schema.ts';

const ServiceMonitor = obj('ServiceMonitor of the Prometheus operator.', {
  mode: word('Auto makes one where the API exists. Enabled reports a problem where it does not exist.', [
    'Auto',
    'Enabled',
    'Disabled',
  ]).default('Auto'),
  labels: labels('Labels of the ServiceMonitor, for example those that a Prometheus selects.').optional(),
});

/** How the registry is watched: `spec.monitoring`. */
export const Monitoring = obj('Monitoring.', { serviceMonitor: ServiceMonitor.optional() });
export type Monitoring = z.infer<typeof Monitoring>;
