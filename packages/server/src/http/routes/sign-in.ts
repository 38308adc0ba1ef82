// Signing in with a browser: to the forge, back from it, who somebody is then, and out again.
import { Me } from '@eka-ci/protocol/user';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Caller } from '../../auth/caller.ts';
import { parseReturnPath } from '../../auth/return-path.ts';
import { type SignIn, type SignInOutcome, ticketMs } from '../../auth/sign-in.ts';
import { isForgeFault } from '../../pipeline/hosted/hosted-fault.ts';
import { acceptsHtml } from '../accepts-html.ts';
import { type CookieName, clearCookie, isSecure, readCookie, setCookie } from '../cookies.ts';
import { HttpError } from '../errors.ts';
import type { HttpDeps } from '../http-options.ts';
import { accountPath, loginPath } from '../pages.ts';
import { limitSignIns } from '../rate-limit.ts';
import { type ApiApp, answers, badRequest, forbidden, forgeUnavailable, notFound } from '../route.ts';
import { sendRefusal } from '../sign-in-page.ts';
import { endSession } from '../sign-out.ts';

const tags = ['users'];
const callbackPath = '/github/auth/callback';
const mePath = '/github/auth/me';

/** Shorter than a browser's patience; a sign-in asks the forge twice. */
const finishTimeoutMs = 30_000;

const requireSignIn = ({ auth }: HttpDeps): SignIn => {
  if (auth.signIn !== null) return auth.signIn;
  throw new HttpError('SIGN_IN_OFF', 'nobody can sign in here: the server has no oauth.client_id');
};

const cookieOf = (request: FastifyRequest, { options }: HttpDeps, name: CookieName) => ({
  name,
  secure: isSecure(request, options.behindTls),
});

const LoginQuery = z.object({
  /** A path of this server, to go on to. */
  return_to: z.string().max(4000).optional(),
});

const returnPathOf = (asked: string | undefined): string | null => {
  if (asked === undefined) return null;
  const path = parseReturnPath(asked);
  if (path !== null) return path;
  throw new HttpError(
    'REQUEST_INVALID',
    'the request is not valid: return_to: must be a path of this server',
  );
};

const page = { 'text/html; charset=utf-8': { schema: z.string() } };
const withPage = <Content extends object>(error: {
  readonly description: string;
  readonly content: Content;
}) => ({
  ...error,
  content: { ...error.content, ...page },
});
/** What describes wants a type also of an answer that has no body. */
const noText = { 'text/plain': { schema: z.string() } };
const redirect = { 303: { description: 'There the browser goes on; without a body', content: noText } };

const addLogin = (app: ApiApp, deps: HttpDeps): void => {
  app.get(
    loginPath,
    {
      exposeHeadRoute: false,
      config: { rateLimit: limitSignIns(deps.options.rateLimits) },
      schema: {
        operationId: 'signIn',
        summary: 'Sends a browser to the forge, to sign in',
        description: 'It comes back to /github/auth/callback, and from there goes on to `return_to`.',
        tags,
        querystring: LoginQuery,
        response: { ...redirect, ...badRequest, ...notFound },
      },
    },
    async (request, reply) => {
      const signIn = requireSignIn(deps);
      const { location, ticket } = await signIn.begin(returnPathOf(request.query.return_to));
      setCookie(reply, cookieOf(request, deps, 'sign-in'), { value: ticket, lifeMs: ticketMs });
      return reply.header('cache-control', 'no-store').redirect(location, 303);
    },
  );
};

const word = z.string().max(4000).optional();
const CallbackQuery = z.object({ state: word, code: word, error: word });

type Refused = Exclude<SignInOutcome, { kind: 'signed-in' }>;

const refusalOf = (outcome: Refused): HttpError => {
  switch (outcome.kind) {
    case 'stale':
      return new HttpError(
        'SIGN_IN_FAILED',
        'this sign-in took too long, or was begun in another browser: begin anew',
      );
    case 'foreign':
      return new HttpError(
        'SIGN_IN_FAILED',
        'this is the answer to another sign-in than the one begun last: begin anew',
      );
    case 'used':
      return new HttpError(
        'SIGN_IN_FAILED',
        'this sign-in was finished before: begin anew if you are not signed in',
      );
    case 'refused':
      return new HttpError(
        'SIGN_IN_FAILED',
        outcome.says === null
          ? 'the forge does not take this sign-in any more: begin anew'
          : `the forge refuses to sign you in (${outcome.says}): tell the operator of this server`,
      );
    case 'denied':
      return new HttpError(
        'SIGN_IN_DENIED',
        'you did not let EkaCI know who you are, so nobody is signed in',
      );
  }
};

type Finished =
  | Exclude<SignInOutcome, Refused>
  /** `isOver`: nothing comes of the one that was begun last either. */
  | { readonly kind: 'error'; readonly error: HttpError; readonly isOver: boolean };

const finish = async (deps: HttpDeps, signIn: SignIn, request: FastifyRequest): Promise<Finished> => {
  const { state = null, code = null, error = null } = CallbackQuery.parse(request.query);
  const ticket = readCookie(request, cookieOf(request, deps, 'sign-in'));
  try {
    const signal = AbortSignal.timeout(finishTimeoutMs);
    const outcome = await signIn.finish({ ticket, state, code, error }, signal);
    if (outcome.kind === 'signed-in') return outcome;
    // Any page can send a browser here with some answer: the right one may still come.
    return { kind: 'error', error: refusalOf(outcome), isOver: outcome.kind !== 'foreign' };
  } catch (cause) {
    if (!isForgeFault(cause) && !(cause instanceof DOMException)) throw cause;
    deps.onFault({ error: cause, method: request.method, route: callbackPath });
    const message = `${signIn.host} does not say now who you are: begin anew in a moment; the server's log says why`;
    return { kind: 'error', error: new HttpError('FORGE_UNAVAILABLE', message, { cause }), isOver: true };
  }
};

const addCallback = (app: ApiApp, deps: HttpDeps): void => {
  app.get(
    callbackPath,
    {
      exposeHeadRoute: false,
      config: { rateLimit: limitSignIns(deps.options.rateLimits) },
      schema: {
        operationId: 'finishSignIn',
        summary: 'Where the forge sends a browser back to',
        description: 'An error is a page for who accepts one.',
        tags,
        querystring: CallbackQuery,
        response: {
          ...redirect,
          400: withPage(badRequest[400]),
          403: withPage(forbidden[403]),
          ...notFound,
          502: withPage(forgeUnavailable[502]),
        },
      },
    },
    async (request, reply) => {
      const signIn = requireSignIn(deps);
      const finished = await finish(deps, signIn, request);
      reply.header('cache-control', 'no-store');
      if (finished.kind !== 'error' || finished.isOver) {
        clearCookie(reply, cookieOf(request, deps, 'sign-in'));
      }
      if (finished.kind === 'error') {
        if (!acceptsHtml(request.headers.accept)) throw finished.error;
        return sendRefusal(reply, finished.error, loginPath);
      }
      const { user } = finished;
      const subject = `${user.login} (${user.host} ${user.id})`;
      deps.actions.audit({ who: subject, action: 'sign-in', subject, effective: true });
      const { token, expiresAtMs } = finished.session;
      const life = { value: token, lifeMs: expiresAtMs - deps.clock() };
      setCookie(reply, cookieOf(request, deps, 'session'), life);
      return reply.redirect(finished.returnTo ?? accountPath, 303);
    },
  );
};

const meOf = ({ auth }: HttpDeps, caller: Caller): Me => ({
  caller: caller.kind,
  user:
    caller.kind === 'user'
      ? { forge: caller.host, id: caller.id, login: caller.login, isAdmin: caller.isAdmin }
      : null,
  signIn: auth.signIn === null ? null : loginPath,
});

const addMe = (app: ApiApp, deps: HttpDeps): void => {
  app.get(
    mePath,
    {
      schema: {
        operationId: 'getMe',
        summary: 'Who asks',
        tags,
        response: answers('As it is now', Me),
      },
    },
    async (request, reply) => {
      reply.header('cache-control', 'no-store');
      return meOf(deps, await deps.access.callerOf(request));
    },
  );
};

const addLogout = (app: ApiApp, deps: HttpDeps): void => {
  app.post(
    '/github/auth/logout',
    {
      schema: {
        operationId: 'signOut',
        summary: 'Ends the session of this browser',
        description: 'It is refused from then on, wherever a copy of its cookie may be. API tokens stay.',
        tags,
        response: { ...answers('Nobody is signed in', Me), ...forbidden },
      },
    },
    async (request, reply) => {
      await endSession(deps, request, reply);
      reply.header('cache-control', 'no-store');
      return meOf(deps, { kind: 'anonymous' });
    },
  );
};

export const addSignInRoutes = (app: ApiApp, deps: HttpDeps): void => {
  addLogin(app, deps);
  addCallback(app, deps);
  addMe(app, deps);
  addLogout(app, deps);
};
