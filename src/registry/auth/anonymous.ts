import type { AuthConfig } from '../../api/registry-config.ts';
import type { Action } from './types.ts';

/** What clients without credentials may do. */
export function anonymousMay(
  { anonymous, anonymousDelete }: Pick<AuthConfig, 'anonymous' | 'anonymousDelete'>,
  action: Action,
): boolean {
  const rights: Readonly<Record<Action, boolean>> = {
    pull: anonymous !== 'None',
    catalog: anonymous !== 'None',
    push: anonymous === 'PullPush',
    delete: anonymous !== 'None' && anonymousDelete,
  };
  return rights[action];
}
