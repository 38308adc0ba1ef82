// Who asks. Found out once for each request, from what the request shows.

/** Somebody who signed in; their right is of this moment. */
export interface UserCaller {
  readonly kind: 'user';
  /** Of the forge that knows them. */
  readonly host: string;
  /** The forge's. */
  readonly id: number;
  readonly login: string;
  readonly isAdmin: boolean;
  /** What they showed: a token may do less than the one who made it. */
  readonly by: 'session' | 'token';
}

export type Caller =
  /** Whoever can open the unix socket is an admin. */
  { readonly kind: 'socket' } | UserCaller | { readonly kind: 'anonymous' };

export const anonymous: Caller = { kind: 'anonymous' };

/** For the server's log. */
export const nameOfCaller = (caller: Caller): string => {
  switch (caller.kind) {
    case 'socket':
      return 'operator';
    case 'user':
      return `${caller.login} (${caller.host} ${caller.id})`;
    case 'anonymous':
      return 'anonymous';
  }
};
