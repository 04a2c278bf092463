/** A failure that the person at the terminal can understand and act on: printed without a stack. */
export class SetupError extends Error {
  name = 'SetupError';
}

/** A step that takes minutes says so this often. */
const HEARTBEAT_MILLISECONDS = 60_000;

/** @param {number} milliseconds @returns {string} such as "0.4 s" or "4 min 09 s" */
export function duration(milliseconds) {
  const seconds = milliseconds / 1000;
  if (seconds < 60) {
    return `${seconds.toFixed(1)} s`;
  }
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
}

/** Prints what happens. Lines that arrive while another program owns the terminal wait until it ends. */
class Reporter {
  #held;

  say(line) {
    if (this.#held) {
      this.#held.push(line);
    } else {
      console.log(line);
    }
  }

  /** Keeps every line back until `release`. */
  hold() {
    this.#held ??= [];
  }

  release() {
    const lines = this.#held ?? [];
    this.#held = undefined;
    for (const line of lines) {
      console.log(line);
    }
  }

  /** Says what the next thing waits for, unless it has settled by now. */
  async waitingFor(line, promise) {
    let settled = false;
    const settle = () => (settled = true);
    promise.then(settle, settle);
    await new Promise((resolve) => setImmediate(resolve));
    if (!settled) {
      this.say(`» ${line}`);
    }
  }

  /**
   * Runs `action` between a line that says what begins and a line with how long it took.
   *
   * @template T
   * @param {string} title
   * @param {() => Promise<T>} action
   * @returns {Promise<T>}
   */
  async step(title, action) {
    const started = performance.now();
    const elapsed = () => duration(performance.now() - started);
    const short = title.split(' (')[0];
    this.say(`» ${title}`);
    const heartbeat = setInterval(() => this.say(`  still ${short}: ${elapsed()}`), HEARTBEAT_MILLISECONDS);
    try {
      const result = await action();
      this.say(`  ${short}: ${elapsed()}`);
      return result;
    } finally {
      clearInterval(heartbeat);
    }
  }
}

export const reporter = new Reporter();
