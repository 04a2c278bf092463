import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout. */
export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Where tools, their logs and test data are kept between runs and checkouts. */
export const CACHE = process.env.REGISTRY_OPERATOR_CACHE || join(homedir(), '.cache', 'registry-operator');

/** Programs by name, as links into the folders of their versions. */
export const BIN = join(CACHE, 'bin');

export const MODULES_BIN = join(ROOT, 'node_modules', '.bin');

/** Node 26, as the project's packages bring it. */
export const NODE = join(MODULES_BIN, 'node');
