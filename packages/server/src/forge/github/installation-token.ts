// An app's token for one installation: kept until shortly before it ends, and made once for all who wait for it.
import { z } from 'zod';
import { Secret } from '../../config/secret.ts';
import { apiPath } from './api-path.ts';
import type { GithubClient, GithubIdentity } from './github-client.ts';
import { GithubError, isGithubError } from './github-error.ts';
import { Moment } from './github-schema.ts';

const AccessToken = z.object({
  token: z
    .string()
    .min(1)
    .regex(/^[\x21-\x7e]+$/)
    .transform((text) => new Secret(text)),
  expires_at: Moment,
});

/** So long before its end a token is replaced: what is asked with it may take a while. */
const renewBeforeMs = 5 * 60_000;
/** GitHub's live for an hour; a clock that differs must not make one look older or younger than that. */
const longestLifeMs = 60 * 60_000;

export interface InstallationIdentityDeps {
  readonly app: string;
  readonly installationId: number;
  /** Asks as the app. */
  readonly appClient: GithubClient;
  readonly clock: () => number;
  /** Name of the one repository that its token is for, to read its content. @default all that the installation may */
  readonly contentOf?: string;
}

const explain = (error: unknown, { app, installationId }: InstallationIdentityDeps): unknown => {
  const where = `installation ${installationId} of the app ${JSON.stringify(app)}`;
  if (isGithubError(error, 'GITHUB_NOT_FOUND')) {
    const message = `${where} was removed: install the app again where it is to work`;
    return new GithubError('GITHUB_INSTALLATION_GONE', message, { status: 404, cause: error });
  }
  if (isGithubError(error, 'GITHUB_FORBIDDEN') && /suspended/i.test(error.message)) {
    const message = `${where} is suspended: have its account take that back in the settings of the installation`;
    return new GithubError('GITHUB_INSTALLATION_SUSPENDED', message, { status: 403, cause: error });
  }
  return error;
};

const askForToken = async (deps: InstallationIdentityDeps): Promise<z.output<typeof AccessToken>> => {
  try {
    return await deps.appClient.call({
      operation: 'installation.token',
      method: 'POST',
      path: apiPath('app', 'installations', deps.installationId, 'access_tokens'),
      ...(deps.contentOf !== undefined && {
        body: { repositories: [deps.contentOf], permissions: { contents: 'read' } },
      }),
      schema: AccessToken,
      // A token that nobody uses does no harm.
      repeat: 'always',
    });
  } catch (error) {
    throw explain(error, deps);
  }
};

interface Held {
  readonly token: Secret;
  readonly madeAtMs: number;
  readonly usableUntilMs: number;
}

/** @throws by `token()`: GithubError GITHUB_INSTALLATION_SUSPENDED, GITHUB_INSTALLATION_GONE, and those of a call */
export const createInstallationIdentity = (deps: InstallationIdentityDeps): GithubIdentity => {
  const { app, installationId, clock, contentOf } = deps;
  let held: Held | null = null;
  let making: Promise<Secret> | null = null;
  const make = async (): Promise<Secret> => {
    const made = await askForToken(deps);
    const madeAtMs = clock();
    // When it ends is told by GitHub's clock. Where that is behind ours the token still lives for a while.
    const lifeMs = Math.min(longestLifeMs, Math.max(2 * renewBeforeMs, made.expires_at - madeAtMs));
    held = { token: made.token, madeAtMs, usableUntilMs: madeAtMs + lifeMs - renewBeforeMs };
    return made.token;
  };
  const isUsable = ({ madeAtMs, usableUntilMs }: Held): boolean =>
    clock() >= madeAtMs && clock() < usableUntilMs;
  return {
    name: `installation ${installationId} of ${app}${contentOf === undefined ? '' : ` for ${contentOf}`}`,
    token: async (signal) => {
      signal?.throwIfAborted();
      if (held !== null && isUsable(held)) return held.token;
      // Nobody's signal ends it: others wait for the same token.
      making ??= make().finally(() => {
        making = null;
      });
      return await making;
    },
    refused: (token) => {
      if (held?.token === token) held = null;
      return true;
    },
  };
};
