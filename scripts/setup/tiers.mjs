import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { NODE, ROOT } from './paths.mjs';
import { runForeground } from './process.mjs';

/**
 * The tiers in the order in which they run, the quick ones first. `tools`: needs the servers and clients that set-up
 * installs; `image`: needs the bundles and the container image; `root`: starts containers or a cluster.
 */
export const TIERS = [
  { name: 'check:static' },
  { name: 'unit', vitest: true },
  { name: 'conformance', vitest: true, tools: true },
  { name: 'integration', vitest: true, tools: true, image: true, root: true },
  { name: 'e2e', vitest: true, tools: true, image: true, root: true },
];

/**
 * Runs one tier with its output on the terminal.
 *
 * @param {{name: string, vitest?: boolean}} tier
 * @param {string} reports folder for the report of vitest
 * @returns {Promise<{passed: number, failed: number, skipped: number}>} tests; a tier that fails in any other way
 *   than by its tests counts as one that failed
 */
export async function runTier(tier, reports) {
  return tier.vitest ? runVitest(tier.name, join(reports, `${tier.name}.json`)) : runScript(tier.name);
}

async function runScript(name) {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const status = await runForeground('sh', ['-c', scripts[name]]);
  return { passed: 0, failed: status === 0 ? 0 : 1, skipped: 0 };
}

async function runVitest(project, report) {
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const cli = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
  const status = await runForeground(NODE, [cli, 'run', '--project', project, ...reporters]);
  return count(report, status);
}

function count(report, status) {
  const {
    numPassedTests = 0,
    numFailedTests = 0,
    numPendingTests = 0,
    testResults = [],
  } = readReport(report);
  // A file that cannot be loaded, or whose set-up fails, has no failed test of its own.
  const brokenFiles = testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  );
  const failed = numFailedTests + brokenFiles.length;
  return {
    passed: numPassedTests,
    failed: status === 0 ? failed : Math.max(failed, 1),
    skipped: numPendingTests,
  };
}

/** A crash leaves no report; its status says that it failed. */
function readReport(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return {};
  }
}
