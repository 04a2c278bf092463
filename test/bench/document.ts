import { readFile, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';

import type { RowProfile } from './profile.ts';

const DOCUMENT = fileURLToPath(new URL('../../docs/benchmarks.md', import.meta.url));

/** A part of the document that the benchmark writes. */
export type Section = 'rows' | 'profile' | 'load';

/** What the machine is, in a line. */
export function machineFacts(fileSystem: string): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor';
  const memory = (totalmem() / 2 ** 30).toFixed(0);
  return `${availableParallelism()} processors (${model}), ${memory} GiB of memory, Linux ${release()}, content on ${fileSystem}, Node ${process.versions.node}`;
}

/** Replaces sections of docs/benchmarks.md. */
export async function writeSections(sections: Readonly<Partial<Record<Section, string>>>): Promise<void> {
  let text = await readFile(DOCUMENT, 'utf8');
  for (const [section, content] of Object.entries(sections)) text = replaceSection(text, section, content);
  await writeFile(DOCUMENT, text);
}

/**
 * @returns the text with new content between the markers of the section
 * @throws Error when the markers are missing
 */
export function replaceSection(text: string, section: string, content: string): string {
  const [begin, end] = [`<!-- begin ${section} -->\n`, `<!-- end ${section} -->\n`];
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`docs/benchmarks.md has no markers ${begin}and ${end}`);
  return `${text.slice(0, from)}${begin}\n${content.trim()}\n\n${text.slice(to)}`;
}

/** Less than this is left out. */
const SMALLEST_PERCENT = 2;

/** Where the time goes, a line for each row. */
export function renderProfile(profiles: readonly RowProfile[]): string {
  const lines = profiles.map(({ row, percent }) => {
    const shown = percent.filter(([, share]) => share >= SMALLEST_PERCENT);
    const rest = 100 - shown.reduce((sum, [, share]) => sum + share, 0);
    const parts = [...shown, ...(rest >= 1 ? [['others', rest] as const] : [])];
    return `| ${row.title} | ${parts.map(([group, share]) => `${share.toFixed(0)} ${group}`).join(', ')} |\n`;
  });
  return `| work | percent of our server's processor time |\n| --- | --- |\n${lines.join('')}`;
}
