// The one guard of the routes: who asks, and whether they may. What changes something is for whoever opens the unix
// socket, for admins, and, where it concerns one change, for those who may write to its repository.
import type { FastifyRequest } from 'fastify';
import { tokenPrefix } from '../auth/api-tokens.ts';
import type { Auth } from '../auth/auth.ts';
import { anonymous, type Caller, type UserCaller } from '../auth/caller.ts';
import type { StoredChange } from '../database/database.ts';
import { isForgeFault } from '../pipeline/hosted/hosted-fault.ts';
import type { ChangeRights } from '../pipeline/people/change-rights.ts';
import { isSecure, readCookie } from './cookies.ts';
import { HttpError } from './errors.ts';
import { isOperator } from './operator.ts';
import { type Origins, requireKnownOrigin } from './origins.ts';
import { addressOf } from './rate-limit.ts';
import { createRateWindow } from './rate-window.ts';
import { createLiveReading, type LiveReading } from './reading/live-reader.ts';
import type { Reader, Readers } from './reading/reader.ts';

/** Who may change something. */
export type TrustedCaller = Extract<Caller, { kind: 'socket' }> | UserCaller;

export interface WriterQuestion {
  /** Gives the change, or throws for one that is not there; asked only for who is known. */
  readonly find: () => Promise<StoredChange>;
  /** Who may do this as well, though they may not write: its author, say. @default nobody */
  readonly orElse?: (user: UserCaller, change: StoredChange, signal: AbortSignal) => Promise<boolean>;
}

export interface Access {
  /** The same for the whole request. @throws HttpError for a token that is none, a cookie that another site brought */
  callerOf(request: FastifyRequest): Promise<Caller>;
  /** What whoever asks may see: everybody's where they cannot be known. Never rejects with HttpError. */
  readerOf(request: FastifyRequest): Promise<Reader>;
  /** The same of a connection that stays: who they are and what they may see is asked again. */
  liveReadingOf(request: FastifyRequest): Promise<LiveReading>;
  /** Sees what everybody may see. */
  readonly anybody: Reader;
  /** @throws HttpError SIGN_IN_REQUIRED, OPERATOR_REQUIRED */
  requireAdmin(request: FastifyRequest): Promise<TrustedCaller>;
  /** @throws HttpError SIGN_IN_REQUIRED, also over the socket: nobody is signed in there */
  requireUser(request: FastifyRequest): Promise<UserCaller>;
  /** @throws HttpError SIGN_IN_REQUIRED, WRITE_ACCESS_REQUIRED, FORGE_UNAVAILABLE */
  requireWriter(
    request: FastifyRequest,
    asked: WriterQuestion,
  ): Promise<{ readonly caller: TrustedCaller; readonly change: StoredChange }>;
}

export interface AccessDeps {
  readonly auth: Auth;
  readonly rights: Pick<ChangeRights, 'mayWrite' | 'epoch'>;
  readonly readers: Readers;
  readonly origins: Origins;
  readonly behindTls: boolean;
  /** How often an address may show a token that is none. */
  readonly tokenFailuresPerMinute: number;
  /** How much one user may change, from however many addresses. */
  readonly writesPerMinute: number;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}

const isRead = ({ method }: FastifyRequest): boolean => method === 'GET' || method === 'HEAD';

/** Null for what is no token of ours: the metrics have one of their own. */
const apiTokenIn = ({ headers }: FastifyRequest): string | null => {
  const offered = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1];
  return offered?.startsWith(tokenPrefix) === true ? offered : null;
};

const tooMany = (what: string): HttpError => new HttpError('RATE_LIMITED', `${what}: try again in a minute`);

const createFinder = (deps: AccessDeps) => {
  const { auth, origins, behindTls, clock } = deps;
  const failures = createRateWindow(deps.tokenFailuresPerMinute, clock);
  const byToken = async (request: FastifyRequest, token: string): Promise<Caller> => {
    const user = await auth.apiTokens.holderOf(token);
    if (user !== null) return auth.callerOf(user, 'token');
    // One that is good is always taken: others behind the same address have done nothing.
    if (!failures.take(addressOf(request))) throw tooMany('this address shows too many tokens that are none');
    throw new HttpError('API_TOKEN_UNKNOWN', 'this token is unknown, removed or expired: make a new one');
  };
  return async (request: FastifyRequest): Promise<Caller> => {
    if (isOperator(request)) return { kind: 'socket' };
    const token = apiTokenIn(request);
    if (token !== null) return byToken(request, token);
    const cookie = readCookie(request, { name: 'session', secure: isSecure(request, behindTls) });
    const holder = cookie === null ? null : await auth.sessions.holderOf(cookie);
    if (holder === null) return anonymous;
    if (!isRead(request)) requireKnownOrigin(request, origins);
    return auth.callerOf(holder.user, 'session');
  };
};

const signInRequired = (): HttpError =>
  new HttpError(
    'SIGN_IN_REQUIRED',
    'only who is known may do this: sign in (/github/auth/login), show an API token (ekaci --token-file FILE), or ' +
      "ask over the server's unix socket, on its own machine (ekaci --socket PATH)",
  );

/** `owner/repo` at the forge that knows this user; null where the change is not of it. */
const placeOf = ({ kind, repository }: StoredChange, host: string): string | null => {
  switch (kind) {
    case 'offered':
    case 'group':
    case 'baseline':
      return repository.startsWith(`${host}/`) ? repository.slice(host.length + 1) : null;
    // Plain git hosts know nobody, and whatever somebody submitted has only the name that they gave it.
    case 'branch':
    case 'submitted':
      return null;
  }
};

/** Longer than a forge takes; somebody waits for it. */
const rightTimeoutMs = 20_000;

const mayWriteTo = async (
  rights: AccessDeps['rights'],
  user: UserCaller,
  { change, orElse }: Pick<WriterQuestion, 'orElse'> & { readonly change: StoredChange },
): Promise<boolean> => {
  const repository = placeOf(change, user.host);
  if (repository === null) return false;
  const signal = AbortSignal.timeout(rightTimeoutMs);
  try {
    const { repositoryId } = change;
    const place = { host: user.host, repository, ...(repositoryId !== undefined && { repositoryId }) };
    if (await rights.mayWrite(place, user, signal)) return true;
    return (await orElse?.(user, change, signal)) ?? false;
  } catch (cause) {
    if (!isForgeFault(cause) && !(cause instanceof DOMException)) throw cause;
    throw new HttpError(
      'FORGE_UNAVAILABLE',
      `${user.host} does not say now whether you may do this: try again in a moment`,
      { cause },
    );
  }
};

export const createAccess = (deps: AccessDeps): Access => {
  const find = createFinder(deps);
  const known = new WeakMap<FastifyRequest, Promise<Caller>>();
  const writes = createRateWindow(deps.writesPerMinute, deps.clock);
  const callerOf = (request: FastifyRequest): Promise<Caller> => {
    const caller = known.get(request) ?? find(request);
    known.set(request, caller);
    return caller;
  };
  const requireKnown = async (request: FastifyRequest): Promise<TrustedCaller> => {
    const caller = await callerOf(request);
    if (caller.kind === 'anonymous') throw signInRequired();
    if (caller.kind === 'user' && !isRead(request) && !writes.take(`${caller.host} ${caller.id}`)) {
      throw tooMany('you change too much at once');
    }
    return caller;
  };
  const { readers, rights, clock } = deps;
  const readerFor = async (caller: Promise<Caller>): Promise<Reader> => {
    try {
      return await readers.of(await caller);
    } catch (error) {
      // The route says what is wrong with who they say they are, where it matters to it.
      if (error instanceof HttpError) return readers.anybody;
      throw error;
    }
  };
  return {
    callerOf,
    anybody: readers.anybody,
    readerOf: (request) => readerFor(callerOf(request)),
    async liveReadingOf(request) {
      const ask = (): Promise<Reader> => readerFor(find(request));
      const { anybody } = readers;
      return createLiveReading(await ask(), { anybody, ask, epoch: () => rights.epoch(), clock });
    },
    async requireAdmin(request) {
      const caller = await requireKnown(request);
      if (caller.kind === 'socket' || caller.isAdmin) return caller;
      throw new HttpError(
        'OPERATOR_REQUIRED',
        "only admins of this server may do this: one of them can promote you, or ask over the server's unix socket",
      );
    },
    async requireUser(request) {
      const caller = await requireKnown(request);
      if (caller.kind === 'user') return caller;
      throw new HttpError(
        'SIGN_IN_REQUIRED',
        'nobody is signed in over the unix socket: use a browser or a token',
      );
    },
    async requireWriter(request, { find: findChange, ...asked }) {
      const caller = await requireKnown(request);
      const change = await findChange();
      if (caller.kind === 'socket' || caller.isAdmin) return { caller, change };
      if (await mayWriteTo(deps.rights, caller, { ...asked, change })) return { caller, change };
      throw new HttpError(
        'WRITE_ACCESS_REQUIRED',
        `only who may write to ${change.repository}, and admins of this server, may do this`,
      );
    },
  };
};
