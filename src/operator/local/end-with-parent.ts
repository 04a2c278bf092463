/**
 * A process whose parent gave it an IPC channel sees that channel close when the parent is gone, even by SIGKILL, and
 * then ends as at a SIGTERM. The channel alone does not keep it alive. Without such a parent nothing happens.
 */
export function endWithParent(): void {
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  process.channel?.unref();
}

const SCRIPT = `(${endWithParent.toString().replaceAll(/\s+/g, ' ')})()`;

/** Options of Node that make a program, which need not know of it, end with its parent. */
export const END_WITH_PARENT: readonly string[] = [
  '--import',
  `data:text/javascript,${encodeURIComponent(SCRIPT)}`,
];
