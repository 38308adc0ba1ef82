// Commands that make the fake go wrong, and set its clock and its limits.
import type { Faults } from '../../http/faults.ts';
import type { RateLimits } from '../../http/rate-limits.ts';
import type { World } from '../../state/world.ts';
import type { OAuth } from '../../web/oauth.ts';
import type { Outbox } from '../../webhooks/outbox.ts';
import type { CommandHandlers } from '../control.ts';
import type { Finding } from '../finding.ts';

export interface SwitchDeps {
  readonly world: World;
  readonly faults: Faults;
  readonly limits: RateLimits;
  readonly outbox: Outbox;
  readonly oauth: OAuth;
}

type Some<Names extends keyof CommandHandlers> = Pick<CommandHandlers, Names>;

export const switchHandlers = (
  { world, faults, limits, outbox, oauth }: SwitchDeps,
  find: Finding,
): Some<
  | 'addFault'
  | 'clearFaults'
  | 'listHeld'
  | 'releaseHeld'
  | 'setClock'
  | 'setRateLimit'
  | 'setSecondaryLimits'
  | 'setWebhookMode'
  | 'settle'
  | 'signIn'
> => ({
  addFault: (rule) => ({ id: faults.add(rule) }),
  clearFaults: () => {
    faults.clear();
    return null;
  },
  setWebhookMode: ({ mode }) => {
    outbox.setMode(mode);
    return null;
  },
  listHeld: () => outbox.listHeld(),
  releaseHeld: ({ ids }) => {
    outbox.release(ids);
    return null;
  },
  settle: async () => {
    await outbox.settled();
    return null;
  },
  setClock: ({ skewMs }) => {
    world.clock.setSkew(skewMs);
    return null;
  },
  setRateLimit: ({ perHour }) => {
    limits.setPrimary(perHour);
    return null;
  },
  setSecondaryLimits: ({ limits: wanted }) => {
    limits.setSecondary(wanted);
    return null;
  },
  signIn: ({ user, deny }) => {
    oauth.setBrowser(user === null ? null : find.account(user), deny);
    return null;
  },
});
