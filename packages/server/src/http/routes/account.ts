// The account of who is signed in, as a page with forms: where a browser lands after signing in.
import { ApiTokenParams, ApiTokenRequest } from '@eka-ci/protocol/user';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type Caller, nameOfCaller, type UserCaller } from '../../auth/caller.ts';
import { renderAccount } from '../account-page.ts';
import { HttpError } from '../errors.ts';
import type { HttpDeps } from '../http-options.ts';
import { accountPath, loginPath } from '../pages.ts';
import type { ApiApp } from '../route.ts';
import { formPageHeaders } from '../security-headers.ts';
import { endSession } from '../sign-out.ts';

const maxFormBytes = 4096;

const sendPage = async (
  { auth }: HttpDeps,
  reply: FastifyReply,
  { caller, made = null }: { readonly caller: Caller; readonly made?: string | null },
): Promise<FastifyReply> => {
  const user = caller.kind === 'user' ? caller : null;
  const tokens = user === null ? [] : await auth.users.tokensOf(user);
  return reply
    .headers({ ...formPageHeaders, 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' })
    .send(renderAccount({ user, tokens, made, loginPath, path: accountPath }));
};

/** @throws HttpError REQUEST_INVALID */
const parseForm = <Form>(schema: z.ZodType<Form>, fields: unknown): Form => {
  const parsed = schema.safeParse(fields);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new HttpError(
    'REQUEST_INVALID',
    `the form is not valid: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`,
  );
};

/** Of a form an empty field is none. */
const TokenForm = z
  .object({ name: z.string(), expiresInDays: z.string().optional() })
  .transform(
    ({ name, expiresInDays = '' }): z.input<typeof ApiTokenRequest> => ({
      name,
      expiresInDays: expiresInDays === '' ? null : Number(expiresInDays),
    }),
  )
  .pipe(ApiTokenRequest);

type Act = (deps: HttpDeps, user: UserCaller, fields: unknown) => Promise<string | null>;

const makeToken: Act = async ({ auth, actions }, user, fields) => {
  const { name, expiresInDays = null } = parseForm(TokenForm, fields);
  const made = await auth.apiTokens.make(user, { name, expiresInDays });
  if (made === null) {
    throw new HttpError('API_TOKENS_EXCEEDED', 'you have as many API tokens as there may be: remove some');
  }
  const { id } = made.stored;
  actions.audit({ who: nameOfCaller(user), action: 'make-token', subject: id, effective: true });
  return made.text;
};

const removeToken: Act = async ({ auth, actions }, user, fields) => {
  const { id } = parseForm(ApiTokenParams, fields);
  const effective = await auth.users.removeToken(user, id);
  actions.audit({ who: nameOfCaller(user), action: 'remove-token', subject: id, effective });
  return null;
};

/** A token is no browser: what a page shows is for who sits before it. @throws HttpError SESSION_REQUIRED */
const requireSession = async ({ access }: HttpDeps, request: FastifyRequest): Promise<UserCaller> => {
  const user = await access.requireUser(request);
  if (user.by === 'session') return user;
  throw new HttpError('SESSION_REQUIRED', 'this is a page for browsers: programs ask /v1/users/me/tokens');
};

const schema = { hide: true };

/** Forms are taken here alone: everywhere else a body is JSON, which no form of another site can send. */
const addForms = (app: ApiApp, deps: HttpDeps): void => {
  app.addContentTypeParser<string>(
    'application/x-www-form-urlencoded',
    { parseAs: 'string', bodyLimit: maxFormBytes },
    (_request, body, done) => done(null, Object.fromEntries(new URLSearchParams(body))),
  );
  const acts: readonly (readonly [name: string, act: Act])[] = [
    ['make-token', makeToken],
    ['remove-token', removeToken],
  ];
  for (const [name, act] of acts) {
    app.post(`${accountPath}/${name}`, { schema }, async (request, reply) => {
      const caller = await requireSession(deps, request);
      const made = await act(deps, caller, request.body);
      // What is shown once is shown at once; all else by asking again, so that going back repeats nothing.
      return made === null ? reply.redirect(accountPath, 303) : await sendPage(deps, reply, { caller, made });
    });
  }
  app.post(`${accountPath}/sign-out`, { schema }, async (request, reply) => {
    await endSession(deps, request, reply);
    return reply.redirect(accountPath, 303);
  });
};

export const addAccountRoutes = (app: ApiApp, deps: HttpDeps): void => {
  app.get(accountPath, { schema }, async (request, reply) =>
    sendPage(deps, reply, { caller: await deps.access.callerOf(request) }),
  );
  app.register((forms: ApiApp, _options: unknown, done: () => void) => {
    addForms(forms, deps);
    done();
  });
};
