import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { buildImage } from './build.mjs';
import { findGo, requireDebian, requireRoot } from './machine.mjs';
import { installPackages } from './packages.mjs';
import { duration, reporter, SetupError } from './report.mjs';
import { runTier, TIERS } from './tiers.mjs';
import { installTools } from './tools.mjs';

/** How long all tiers may take on two processors. */
const BUDGET_MINUTES = { cold: 55, warm: 15 };
/** A run of so many times its budget fails; a shared machine may well be several times slower for a while. */
const PATIENCE = 4;

/**
 * Runs tiers, every one although an earlier one failed, and prints the totals.
 *
 * @param {string[]} names of tiers; none means all of them
 * @returns {Promise<number>} 0 when everything passed
 */
export async function test(names) {
  const tiers = chooseTiers(names);
  const started = performance.now();
  await announce(tiers);
  await installPackages({ dev: true });
  const tools = tiers.some((tier) => tier.tools) ? startTools(tiers) : undefined;
  const results = await runAll(tiers, tools);
  const late = names.length === 0 && exceedsBudget(performance.now() - started, await tools?.wereMissing);
  return summarise(results, late);
}

function chooseTiers(names) {
  const known = TIERS.map((tier) => tier.name);
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    throw new SetupError(`no tier ${unknown.join(', ')}; the tiers are ${known.join(', ')}`);
  }
  return names.length === 0 ? TIERS : TIERS.filter((tier) => names.includes(tier.name));
}

/** Says at once which tiers this machine cannot run, and not only after the minutes of those that it can. */
async function announce(tiers) {
  const needs = [
    [tiers.filter((tier) => tier.tools), [requireDebian, findGo]],
    [tiers.filter((tier) => tier.root), [() => requireRoot('starting containers and a cluster')]],
  ];
  for (const [concerned, checks] of needs) {
    for (const check of concerned.length > 0 ? checks : []) {
      try {
        await check();
      } catch (error) {
        reporter.say(`! ${concerned.map((tier) => tier.name).join(', ')} will fail: ${error.message}`);
      }
    }
  }
}

/** Installs tools while the quick tiers run, which have the processors for themselves when they want them. */
function startTools(tiers) {
  const background = tiers.some((tier) => !tier.tools);
  const installed = installTools({ nice: background });
  return { installed, wereMissing: installed.catch(() => false) };
}

async function runAll(tiers, tools) {
  const reports = mkdtempSync(join(tmpdir(), 'registry-operator-test-'));
  const results = [];
  try {
    for (const tier of tiers) {
      results.push({ tier: tier.name, ...(await timed(() => prepareAndRun(tier, tools, reports))) });
    }
  } finally {
    rmSync(reports, { recursive: true, force: true });
  }
  return results;
}

async function timed(action) {
  const started = performance.now();
  const result = await action();
  return { ...result, milliseconds: performance.now() - started };
}

async function prepareAndRun(tier, tools, reports) {
  try {
    await prepare(tier, tools);
  } catch (error) {
    reporter.say(
      `\nerror: ${tier.name} cannot run: ${error instanceof SetupError ? error.message : error.stack}`,
    );
    return { passed: 0, failed: 1, skipped: 0 };
  }
  reporter.say(`\n=== ${tier.name}`);
  reporter.hold();
  try {
    return await runTier(tier, reports);
  } finally {
    reporter.release();
  }
}

async function prepare(tier, tools) {
  if (tier.root) {
    requireRoot('starting containers and a cluster');
  }
  if (tier.tools) {
    await reporter.waitingFor(`${tier.name} waits for its tools`, tools.installed);
    await tools.installed;
  }
  if (tier.image) {
    await buildImage();
  }
}

function exceedsBudget(milliseconds, cold) {
  const kind = cold ? 'cold' : 'warm';
  const budget = BUDGET_MINUTES[kind] * 60_000;
  reporter.say(
    `\n${duration(milliseconds)} in all; the budget of a ${kind} run is ${duration(budget)}, ${PATIENCE} times that fails`,
  );
  return milliseconds > PATIENCE * budget;
}

/** The last line is the totals, alone. */
function summarise(results, late) {
  reporter.say('');
  for (const { tier, passed, failed, skipped, milliseconds } of results) {
    const verdict = failed === 0 ? 'ok    ' : 'FAILED';
    const counts = `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
    reporter.say(`${verdict} ${tier.padEnd(14)} ${duration(milliseconds).padStart(12)}   ${counts}`);
  }
  if (late) {
    reporter.say(`FAILED the run took more than ${PATIENCE} times its budget`);
  }
  const passed = results.reduce((sum, result) => sum + result.passed, 0);
  const failed = results.reduce((sum, result) => sum + result.failed, 0) + (late ? 1 : 0);
  reporter.say(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}
