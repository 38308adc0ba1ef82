// The token that opens a remote server: where it is read, and whom it is shown. It has no text of its own but for the
// header, so that no message and no JSON can hold it.
import { readFile } from 'node:fs/promises';
import { ClientError } from './client-error.ts';

const texts = new WeakMap<ServerToken, string>();

/** Prints as `{}` wherever it is printed. */
export class ServerToken {
  constructor(text: string) {
    texts.set(this, text);
  }
}

/** For every request and every WebSocket to the one server it was given for. */
export const authorizationOf = (token: ServerToken): { readonly authorization: string } => ({
  authorization: `Bearer ${texts.get(token) ?? ''}`,
});

export interface ChosenToken {
  readonly token?: string;
  readonly tokenFile?: string;
}

/** What a header may hold without quotes; a server's token has no other characters (RFC 6750, 2.1, and a few more). */
const parseToken = (text: string, place: string): ServerToken => {
  const token = text.trim();
  if (/^[\x21-\x7e]{1,4096}$/.test(token)) return new ServerToken(token);
  throw new ClientError(
    'TOKEN_INVALID',
    `${place} holds no token: it is one line of ASCII characters without spaces`,
  );
};

const readTokenFile = async (file: string): Promise<ServerToken> => {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ClientError('TOKEN_INVALID', `the token cannot be read (${why}): check --token-file`, {
      cause,
    });
  }
  return parseToken(text, `the file ${file}`);
};

/** Null where none was given. @throws ClientError TOKEN_INVALID */
const readToken = async (chosen: ChosenToken, env: NodeJS.ProcessEnv): Promise<ServerToken | null> => {
  if (chosen.token !== undefined) return parseToken(chosen.token, '--token');
  if (chosen.tokenFile !== undefined) return readTokenFile(chosen.tokenFile);
  const text = env['EKA_CI_TOKEN'] ?? '';
  return text === '' ? null : parseToken(text, '$EKA_CI_TOKEN');
};

const isLoopback = (hostname: string): boolean =>
  hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);

/**
 * The token for the server at `url`, null where none was given.
 * @throws ClientError TOKEN_INVALID; TOKEN_IN_THE_CLEAR where others on the way could read it
 */
export const tokenFor = async (
  url: string,
  chosen: ChosenToken,
  env: NodeJS.ProcessEnv,
): Promise<ServerToken | null> => {
  const token = await readToken(chosen, env);
  const { protocol, hostname } = new URL(url);
  if (token === null || protocol === 'https:' || isLoopback(hostname)) return token;
  throw new ClientError(
    'TOKEN_IN_THE_CLEAR',
    `the token is not sent to ${hostname} over plain http, where others could read it: use https://, or unset ` +
      '$EKA_CI_TOKEN and leave --token and --token-file out',
  );
};
