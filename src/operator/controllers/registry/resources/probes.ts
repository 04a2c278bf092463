/** Port of the probes by its name in the container, on which neither TLS nor credentials are needed. */
const PORT = 'ops';

/** Asked every second, so that a pod serves as soon as it can; gives up after two minutes. */
const STARTUP = { periodSeconds: 1, timeoutSeconds: 1, failureThreshold: 120 };

/** Slow to act: a restart helps only a process that hangs. */
const LIVENESS = { periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6 };

/** Fast to take a draining pod out of the Service; the check reaches through to the storage. */
const READINESS = { periodSeconds: 5, timeoutSeconds: 5, failureThreshold: 2 };

/** The probes of the registry container. */
export function probes(): Record<'startupProbe' | 'livenessProbe' | 'readinessProbe', object> {
  return {
    startupProbe: { httpGet: { path: '/livez', port: PORT }, ...STARTUP },
    livenessProbe: { httpGet: { path: '/livez', port: PORT }, ...LIVENESS },
    readinessProbe: { httpGet: { path: '/readyz', port: PORT }, ...READINESS },
  };
}
