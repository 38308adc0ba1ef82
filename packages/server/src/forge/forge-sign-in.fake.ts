// A forge that says who somebody is as a test has it: a code is good for one question, once.
import { createHash } from 'node:crypto';
import type { ForgeUser } from './forge-event.ts';
import type { ForgeSignIn } from './forge-sign-in.ts';
import type { HostedForgeFault } from './hosted-forge.ts';

export interface FakeSignIn extends ForgeSignIn {
  /** What the browser of this user brings back from where it was sent. */
  consent(
    location: string,
    user: Pick<ForgeUser, 'id' | 'login'>,
  ): { readonly state: string; readonly code: string };
  /** From now on it does not answer. */
  fail(isAway: boolean): void;
  /** How often it was asked who somebody is. */
  asked(): number;
}

class FakeFault extends Error implements HostedForgeFault {
  readonly code = 'FAKE_UNREACHABLE';
  readonly mayPass = true;
  readonly retryAtMs = null;
}

export const createFakeSignIn = (host = 'github.com'): FakeSignIn => {
  const codes = new Map<string, { readonly user: ForgeUser; readonly challenge: string }>();
  let away = false;
  let asked = 0;
  return {
    kind: 'github',
    host,
    addressOf: ({ state, challenge }) =>
      `https://${host}/authorize?${new URLSearchParams({ state, challenge }).toString()}`,
    async identify({ code, verifier }) {
      asked += 1;
      if (away) throw new FakeFault('it is away');
      const grant = codes.get(code);
      codes.delete(code);
      const proof = createHash('sha256').update(verifier).digest('base64url');
      return grant?.challenge === proof ? { kind: 'known', user: grant.user } : { kind: 'refused' };
    },
    consent(location, { id, login }) {
      const query = new URL(location).searchParams;
      const code = `code-${codes.size}-${id}`;
      codes.set(code, { user: { id, login, isPerson: true }, challenge: query.get('challenge') ?? '' });
      return { state: query.get('state') ?? '', code };
    },
    fail: (isAway) => {
      away = isAway;
    },
    asked: () => asked,
  };
};
