import type * as z from 'zod';

import { obj, word } from '../schema.ts';

/** Logs of the registry server: `spec.logging`. Changes take effect without a restart. */
export const Logging = obj('Logs. Changes take effect without a restart.', {
  level: word('Lowest level that is written.', ['Error', 'Warn', 'Info', 'Debug']).default('Info'),
  requests: word('Which requests are logged.', ['All', 'Failed', 'None']).default('All'),
});
export type Logging = z.infer<typeof Logging>;
