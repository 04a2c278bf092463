import type { AuthConfig } from '../../api/registry-config.ts';
import type { Action } from './types.ts';

/**
 * What clients without credentials may do.
 *
 * docker, podman and skopeo learn from the answer to `GET /v2/` alone whether a password is wanted, and never send
 * theirs when that request succeeds. So it asks for one wherever only users can push; clients that have none go on
 * without, except docker, which wants to be logged in then. Where everybody may push it does not ask, or docker
 * could not be used by strangers at all (docs/adr/0006).
 */
export function anonymousMay(
  { anonymous, anonymousDelete, basic }: Pick<AuthConfig, 'anonymous' | 'anonymousDelete' | 'basic'>,
  action: Action,
): boolean {
  const rights: Readonly<Record<Action, boolean>> = {
    ping: anonymous === 'PullPush' || (anonymous === 'Pull' && basic === undefined),
    pull: anonymous !== 'None',
    catalog: anonymous !== 'None',
    push: anonymous === 'PullPush',
    delete: anonymous !== 'None' && anonymousDelete,
  };
  return rights[action];
}
