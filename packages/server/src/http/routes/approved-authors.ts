// Authors whose changes need no approval: who they are, one more, one less.
import {
  type ApprovedAuthor,
  ApprovedAuthorParams,
  ApprovedAuthors,
  AuthorApproval,
} from '@eka-ci/protocol/approved-author';
import { ChangeParams } from '@eka-ci/protocol/change';
import { nameOfCaller } from '../../auth/caller.ts';
import type { ApprovedAuthor as StoredAuthor } from '../../database/database.ts';
import { approveAuthor } from '../../pipeline/approval/approve-author.ts';
import { changeOnWire } from '../../pipeline/change-on-wire.ts';
import { readOffered } from '../../pipeline/offered-request.ts';
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

const tags = ['admins'];

const onWire = ({ host, userId, login, approvedBy, atMs }: StoredAuthor): ApprovedAuthor => ({
  ...{ forge: host, id: userId, login, approvedBy, approvedAtMs: atMs },
});

const addListing = (app: ApiApp, { access, database }: HttpDeps): void => {
  app.get(
    '/v1/admin/approved-users',
    {
      schema: {
        operationId: 'listApprovedUsers',
        summary: 'Authors whose changes need no approval',
        description: 'Beside those who may write to the repository, and trusted bots. For admins.',
        tags,
        response: { ...answers('All of them, oldest first', ApprovedAuthors), ...forbidden },
      },
    },
    async (request, reply) => {
      await access.requireAdmin(request);
      reply.header('cache-control', 'no-store');
      return { users: (await database.approvals.list()).map(onWire) };
    },
  );
};

const addRemoval = (app: ApiApp, { access, actions, database }: HttpDeps): void => {
  app.delete(
    '/v1/admin/approved-users/:forge/:id',
    {
      schema: {
        operationId: 'removeApprovedUser',
        summary: 'Have the changes of an author wait for approval again',
        description: 'What was let go stays so. For admins.',
        tags,
        params: ApprovedAuthorParams,
        response: { ...answers('Those who are left', ApprovedAuthors), ...forbidden, ...notFound },
      },
    },
    async (request) => {
      const who = nameOfCaller(await access.requireAdmin(request));
      const { forge: host, id: userId } = request.params;
      if (!(await database.approvals.withdraw({ host, userId }))) {
        throw new HttpError(
          'APPROVED_USER_NOT_FOUND',
          'nobody with this id was approved for good: /v1/admin/approved-users lists who was',
        );
      }
      actions.audit({ who, action: 'disapprove', subject: `author ${userId} of ${host}`, effective: true });
      return { users: (await database.approvals.list()).map(onWire) };
    },
  );
};

const addApproval = (app: ApiApp, deps: HttpDeps): void => {
  const { access, actions, database } = deps;
  app.post(
    '/v1/prs/:forge/:owner/:repo/:number/approve-author',
    {
      schema: {
        operationId: 'approveAuthorOfChange',
        summary: 'Approve whoever offers it for good',
        description:
          'None of their changes waits from now on, in any repository of the forge; those that wait are queued. For who may write to the repository, and admins.',
        tags: ['changes'],
        params: ChangeParams,
        response: {
          ...answers('Who they are, and what is queued by it', AuthorApproval),
          ...badRequest,
          ...forbidden,
          ...notFound,
          ...conflict,
          ...forgeUnavailable,
        },
      },
    },
    async (request) => {
      const find = () => findChange(deps, request.params);
      const { caller, change } = await access.requireWriter(request, { find });
      const who = nameOfCaller(caller);
      const by = caller.kind === 'user' ? caller.login : 'operator';
      const offered = change.kind === 'offered' ? readOffered(change) : null;
      const released = offered === null ? null : await approveAuthor(deps, { change, by });
      const stored = (await database.approvals.list()).find(
        ({ host, userId }) => host === offered?.host && userId === offered.author?.id,
      );
      if (released === null || stored === undefined) {
        throw new HttpError(
          'AUTHOR_UNKNOWN',
          'nobody is known who offers it: approve the change alone (ekaci approve)',
        );
      }
      actions.audit({
        who,
        action: 'approve',
        subject: `author ${stored.login} of ${stored.host}`,
        effective: true,
      });
      if (released.length > 0) actions.wake();
      return { author: onWire(stored), changes: released.map(changeOnWire) };
    },
  );
};

export const addApprovedAuthorRoutes = (app: ApiApp, deps: HttpDeps): void => {
  addListing(app, deps);
  addRemoval(app, deps);
  addApproval(app, deps);
};
