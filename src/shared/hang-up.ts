/** The parts of a process that {@link onHangUp} needs. */
export interface HangUpSource {
  on(event: 'SIGHUP', listener: () => void): unknown;
}

/**
 * From now on SIGHUP does not end the process: by custom it means that the configuration has changed.
 *
 * @returns takes what is to be done then, once that is possible, and does it at once when the signal has come already
 */
export function onHangUp(process: HangUpSource): (reload: () => void) => void {
  let missed = false;
  let act = (): void => {
    missed = true;
  };
  process.on('SIGHUP', () => act());
  return (reload) => {
    act = reload;
    if (missed) reload();
  };
}
