// A change that is merged when it is green and its packages' maintainers approve it; and what it still waits for.
import type { CommitSha } from '@eka-ci/core/ids';
import { type AskedMerge, AutoMergeRequest, MergeEligibility } from '@eka-ci/protocol/auto-merge';
import { ChangeParams } from '@eka-ci/protocol/change';
import type { FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { nameOfCaller } from '../../auth/caller.ts';
import type { StoredChange, StoredMerge } from '../../database/database.ts';
import { isForgeFault } from '../../pipeline/hosted/hosted-fault.ts';
import type { AskedMergeAnswer } from '../../pipeline/merging/merge-desk.ts';
import { packagesUnapproved } from '../../pipeline/merging/reviews.ts';
import type { TrustedCaller } from '../access.ts';
import { HttpError } from '../errors.ts';
import { findChange } from '../find-change.ts';
import type { HttpDeps } from '../http-options.ts';
import {
  type ApiApp,
  answers,
  badRequest,
  conflict,
  forbidden,
  forgeUnavailable,
  notFound,
} from '../route.ts';

const tags = ['changes'];
const place = '/v1/prs/:forge/:owner/:repo/:number';
/** Longer than a forge takes; somebody waits for it. */
const forgeTimeoutMs = 20_000;

const askedOnWire = (merge: StoredMerge | null): AskedMerge | null => {
  if (merge === null) return null;
  const { state, headSha, method, byLogin: by, needsReviews, askedAtMs, fault } = merge;
  if (state !== 'pending' && state !== 'merging' && state !== 'queued') return null;
  return { state, headSha, method, by, needsReviews, askedAtMs, fault };
};

const eligibilityOf = async (
  { database, rights }: HttpDeps,
  change: StoredChange,
): Promise<MergeEligibility> => {
  const { repository, number, head, state, conclusion } = change;
  const unapproved = await packagesUnapproved({ database, rights }, change);
  return {
    headSha: head,
    isGreen: state === 'judged' && conclusion === 'success',
    unapproved: unapproved === null ? null : [...unapproved],
    asked: askedOnWire(await database.merges.findOpen(repository, number)),
  };
};

const requireOffered = (change: StoredChange): StoredChange => {
  if (change.kind === 'offered') return change;
  throw new HttpError('CHANGE_NOT_READY', 'only a pull request of a hosted forge can be merged');
};

/** Over the unix socket nobody is known: an id that no forge gives. */
const personOf = (caller: TrustedCaller) =>
  caller.kind === 'user' ? { id: caller.id, login: caller.login } : { id: 0, login: 'operator' };

/** @throws HttpError unless it was kept */
const requireKept = (answer: AskedMergeAnswer): void => {
  switch (answer.kind) {
    case 'kept':
      return;
    case 'not-open':
      throw new HttpError(
        'CHANGE_NOT_READY',
        'the change is closed: what is not wanted any more is not merged',
      );
    case 'head-moved':
      throw new HttpError(
        'CHANGE_NOT_READY',
        `the head is ${answer.now} by now: look at that one, and ask again`,
      );
    case 'base-changed':
      throw new HttpError(
        'CHANGE_NOT_READY',
        `it wants to join ${answer.now} by now: look at it, and ask again`,
      );
    case 'method-forbidden':
      throw new HttpError(
        'MERGE_METHOD_FORBIDDEN',
        `the repository does not allow this method: ask for ${answer.allowed.join(' or ') || 'none that is known here'}`,
      );
  }
};

const asUnavailable = (cause: unknown): unknown =>
  isForgeFault(cause) || cause instanceof DOMException
    ? new HttpError('FORGE_UNAVAILABLE', 'the forge cannot be asked now: try again in a moment', { cause })
    : cause;

const withdrawMerge = async (
  { merges }: HttpDeps,
  {
    change: { repository, number },
    caller,
  }: { readonly change: StoredChange; readonly caller: TrustedCaller },
): Promise<boolean> => {
  const asked = { repository, number, by: personOf(caller), mayAlways: true };
  try {
    const answer = await merges.withdraw(asked, AbortSignal.timeout(forgeTimeoutMs));
    if (answer !== 'not-let-go') return answer === 'withdrawn';
  } catch (cause) {
    throw asUnavailable(cause);
  }
  throw new HttpError('CHANGE_NOT_READY', 'the merge queue does not let go of it: take it out there');
};

const requestMerge = async (
  { merges, clock }: HttpDeps,
  { change, caller }: { readonly change: StoredChange; readonly caller: TrustedCaller },
  { method, headSha }: AutoMergeRequest,
): Promise<void> => {
  const { repository, number, head, baseBranch } = change;
  try {
    const answer = await merges.request(
      {
        ...{ repository, number, baseBranch, method: method ?? null, commentId: null, needsReviews: true },
        // Only compared.
        headSha: (headSha ?? head) as CommitSha,
        ...{ by: personOf(caller), atMs: clock() },
      },
      AbortSignal.timeout(forgeTimeoutMs),
    );
    requireKept(answer);
  } catch (cause) {
    throw asUnavailable(cause);
  }
};

const who = 'For who may write to the repository or maintains every changed package, and admins.';
const response = {
  ...answers('How it stands now', MergeEligibility),
  ...{ ...badRequest, ...forbidden, ...notFound, ...conflict, ...forgeUnavailable },
};

const grant = (deps: HttpDeps, request: FastifyRequest, params: z.infer<typeof ChangeParams>) =>
  deps.access.requireWriter(request, {
    find: () => findChange(deps, params),
    orElse: (user, change, signal) => deps.rights.maintainsAll(change, user, signal),
  });

const addReading = (app: ApiApp, deps: HttpDeps): void => {
  app.get(
    `${place}/merge-eligibility`,
    {
      schema: {
        operationId: 'readMergeEligibility',
        summary: 'What a merge of this change waits for',
        tags,
        params: ChangeParams,
        response: { ...answers('As of now', MergeEligibility), ...badRequest, ...notFound },
      },
    },
    async (request) => eligibilityOf(deps, await findChange(deps, request.params)),
  );
};

const addEnabling = (app: ApiApp, deps: HttpDeps): void => {
  app.post(
    `${place}/auto-merge`,
    {
      schema: {
        operationId: 'enableAutoMerge',
        summary: 'Merge it when it is green and approved',
        description: `This head alone, once nothing newly fails and a maintainer of each changed package has approved it. It replaces what was asked before. ${who}`,
        tags,
        params: ChangeParams,
        body: AutoMergeRequest,
        response,
      },
    },
    async (request) => {
      const granted = await grant(deps, request, request.params);
      const change = requireOffered(granted.change);
      await requestMerge(deps, granted, request.body);
      const subject = `${change.repository} ${change.number}`;
      deps.actions.audit({
        who: nameOfCaller(granted.caller),
        action: 'auto-merge',
        subject,
        effective: true,
      });
      return eligibilityOf(deps, change);
    },
  );
};

const addDisabling = (app: ApiApp, deps: HttpDeps): void => {
  app.delete(
    `${place}/auto-merge`,
    {
      schema: {
        operationId: 'disableAutoMerge',
        summary: 'Withdraw a merge that was asked for',
        description: `However it was asked for; what is in the forge's own merge queue is taken out there. ${who}`,
        tags,
        params: ChangeParams,
        response,
      },
    },
    async (request) => {
      const { caller, change } = await grant(deps, request, request.params);
      const { repository, number } = requireOffered(change);
      const effective = await withdrawMerge(deps, { change, caller });
      const subject = `${repository} ${number}`;
      deps.actions.audit({ who: nameOfCaller(caller), action: 'withdraw-merge', subject, effective });
      return eligibilityOf(deps, change);
    },
  );
};

export const addAutoMergeRoutes = (app: ApiApp, deps: HttpDeps): void => {
  addReading(app, deps);
  addEnabling(app, deps);
  addDisabling(app, deps);
};
