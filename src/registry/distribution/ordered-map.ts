/**
 * Runs `work` on every item, at most `limit` at a time, and yields the results in the order of the items. Takes
 * no more items than it needs for that when the caller stops early.
 *
 * @throws the first failure in the order of the items, after everything that was started has ended
 */
export async function* mapInOrder<T, U>(
  items: AsyncIterable<T> | Iterable<T>,
  limit: number,
  work: (item: T) => Promise<U>,
): AsyncGenerator<U, void, undefined> {
  const started: Promise<U>[] = [];
  try {
    for await (const item of items) {
      const task = work(item);
      // Its failure is told when its turn comes.
      task.catch(() => undefined);
      started.push(task);
      const oldest = started.length >= limit ? started.shift() : undefined;
      if (oldest !== undefined) yield await oldest;
    }
    for (let oldest = started.shift(); oldest !== undefined; oldest = started.shift()) yield await oldest;
  } finally {
    await Promise.allSettled(started);
  }
}
