import type { Job, JobContext, Row } from '../job.ts';
import { runLoad } from '../load-generator.ts';
import { REPOSITORIES, type SeedPart } from '../seed.ts';
import { median } from '../statistics.ts';
import { COMPARED, type SubjectId } from '../subjects.ts';
import { settle } from '../usage.ts';
import { measureRequests } from './requests.ts';

const PAGE = 100;
/** How many times as long as a short request a page takes. */
const PAGE_TIMES = 10;
/** Servers with an API of referrers. */
const WITH_REFERRERS: readonly SubjectId[] = ['ours', 'base'];

interface Page {
  readonly row: Row;
  readonly path: (context: JobContext) => string;
}

function pageRow(id: string, title: string): Row {
  return { id, title, unit: 'ms', per: 'request' };
}

/** Names as the load generator makes them. */
const tagName = (number: number) => `v${String(number).padStart(5, '0')}`;
const repositoryName = (number: number) => `${REPOSITORIES.many}/r${String(number).padStart(5, '0')}`;

function pageAfter(path: string, last?: string): string {
  return `${path}?n=${PAGE}${last === undefined ? '' : `&last=${encodeURIComponent(last)}`}`;
}

const TAGS = `/v2/${REPOSITORIES.tags}/tags/list`;
const CATALOG = '/v2/_catalog';

const TAG_PAGES: readonly Page[] = [
  { row: pageRow('tags-first', 'first page of 10,000 tags'), path: () => pageAfter(TAGS) },
  {
    row: pageRow('tags-middle', 'page in the middle of 10,000 tags'),
    path: ({ scale }) => pageAfter(TAGS, tagName(scale.tags / 2)),
  },
  {
    row: pageRow('tags-last', 'last page of 10,000 tags'),
    path: ({ scale }) => pageAfter(TAGS, tagName(scale.tags - PAGE - 1)),
  },
];

const CATALOG_PAGES: readonly Page[] = [
  { row: pageRow('catalog-first', 'first page of 2,000 repositories'), path: () => pageAfter(CATALOG) },
  {
    row: pageRow('catalog-middle', 'page in the middle of 2,000 repositories'),
    path: ({ scale }) => pageAfter(CATALOG, repositoryName(scale.repositories / 2)),
  },
  {
    row: pageRow('catalog-last', 'last page of 2,000 repositories'),
    path: ({ scale }) => pageAfter(CATALOG, repositoryName(scale.repositories - PAGE - 1)),
  },
];

const REFERRERS: Page = {
  row: pageRow('referrers', '1,000 referrers'),
  path: ({ seed }) => referrersPath(REPOSITORIES.referrers, seed.digests.referrers),
};

function referrersPath(repository: string, subject: string | undefined): string {
  return `/v2/${repository}/referrers/${subject}`;
}

function pagesJob(id: string, pages: readonly Page[], part: SeedPart, subjects = COMPARED): Job {
  return {
    id,
    rows: () => pages.map(({ row }) => row),
    needs: [part],
    subjects,
    root: 'seed',
    stalls: true,
    run: async (context) => {
      // Warm pages are measured: what a server does in the background at its start is over.
      await settle(context.server.process.pid);
      for (const { row, path } of pages) {
        const url = `${context.server.url}${path(context)}`;
        await measureRequests(context, row, { method: 'GET', url, connections: 1, slow: PAGE_TIMES });
      }
    },
  };
}

const MANIFEST_ROW: Row = {
  id: 'manifest-get-tags',
  title: 'http GET manifest by tag of 10,000, 64 connections',
  unit: 'req/s',
  per: 'request',
};

const MANIFEST_JOB: Job = {
  id: 'manifest-get-tags',
  rows: () => [MANIFEST_ROW],
  needs: ['tags'],
  subjects: COMPARED,
  root: 'seed',
  stalls: true,
  run: async (context) => {
    const url = `${context.server.url}/v2/${REPOSITORIES.tags}/manifests/${tagName(context.scale.tags / 2)}`;
    await measureRequests(context, MANIFEST_ROW, { method: 'GET', url, connections: 64 });
  },
};

function flatRow(name: string, title: string): Row {
  return { id: `flat-${name}`, title, unit: '×' };
}

interface Flatness {
  readonly row: Row;
  readonly needs: readonly SeedPart[];
  /** What is compared: the numbers of the second URL are divided by those of the first. */
  readonly urls: (context: JobContext) => Promise<readonly [string, string]>;
  readonly connections: number;
  readonly quantity: 'rate' | 'p50';
}

const FLATNESS: readonly Flatness[] = [
  {
    row: flatRow('manifest', 'rate of GET manifest: of 10,000 tags ÷ of one'),
    needs: ['tags', 'small'],
    urls: async ({ server, scale }) => [
      `${server.url}/v2/${REPOSITORIES.small}/manifests/latest`,
      `${server.url}/v2/${REPOSITORIES.tags}/manifests/${tagName(scale.tags / 2)}`,
    ],
    connections: 64,
    quantity: 'rate',
  },
  {
    row: flatRow('tags', 'time of a page of tags: 20,000 ÷ 10,000'),
    needs: ['tags', 'twice'],
    urls: async ({ server }) => [
      `${server.url}${pageAfter(TAGS)}`,
      `${server.url}${pageAfter(`/v2/${REPOSITORIES.tagsTwice}/tags/list`)}`,
    ],
    connections: 1,
    quantity: 'p50',
  },
  {
    row: flatRow('referrers', 'time of a page of referrers: of 2,000 ÷ of 1,000'),
    needs: ['referrers', 'twice'],
    urls: async ({ server, seed }) => [
      `${server.url}${referrersPath(REPOSITORIES.referrers, seed.digests.referrers)}`,
      `${server.url}${referrersPath(REPOSITORIES.referrersTwice, seed.digests.twice)}`,
    ],
    connections: 1,
    quantity: 'p50',
  },
  {
    row: flatRow('catalog', 'time of a page of the catalog: 4,000 ÷ 2,000'),
    needs: ['repositories', 'repositories-twice'],
    urls: async ({ server, startBeside }) => {
      const other = await startBeside('twice');
      await settle(other.process.pid);
      return [`${server.url}${pageAfter(CATALOG)}`, `${other.url}${pageAfter(CATALOG)}`];
    },
    connections: 1,
    quantity: 'p50',
  },
];

/** The two are measured in turn, so that both see the same machine. */
const TURNS = 5;

function flatJob({ row, needs, urls, connections, quantity }: Flatness): Job {
  return {
    id: row.id,
    rows: () => [row],
    needs,
    subjects: WITH_REFERRERS,
    root: 'seed',
    stalls: true,
    run: async (context) => {
      await settle(context.server.process.pid);
      const both = await urls(context);
      const milliseconds = Math.round(context.scale.requestMs / 2);
      const load = async (url: string) => {
        const args = ['requests', '-c', String(connections), '-d', `${milliseconds}ms`, url];
        return (await runLoad(args))[quantity] ?? 0;
      };
      for (const url of both) await load(url);
      const turns: [number, number][] = [];
      for (let turn = 0; turn < TURNS; turn++) turns.push([await load(both[0]), await load(both[1])]);
      context.record(row, median(turns.map(([, second]) => second)) / median(turns.map(([first]) => first)));
    },
  };
}

export const METADATA_JOBS: readonly Job[] = [
  pagesJob('tags', TAG_PAGES, 'tags'),
  pagesJob('catalog', CATALOG_PAGES, 'repositories'),
  pagesJob('referrers', [REFERRERS], 'referrers', WITH_REFERRERS),
  MANIFEST_JOB,
  ...FLATNESS.map((flatness) => flatJob(flatness)),
];
