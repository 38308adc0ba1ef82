// Credentials of a cache over HTTP, as headers.
import type { Secret } from '../config/secret.ts';
import { CacheError } from './cache.ts';
import { refused } from './push-fault.ts';
import type { Authorize } from './web-client.ts';

export const basicAuthorization = (user: string, password: string): Authorize => {
  const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  return () => ({ authorization });
};

export const bearerAuthorization = (token: string): Authorize => {
  const authorization = `Bearer ${token}`;
  return () => ({ authorization });
};

export const noAuthorization: Authorize = () => ({});

/** A secret as text, without what editors and shells leave at its end; undefined where there is none. */
export const revealed = (values: ReadonlyMap<string, Secret>, name: string): string | undefined => {
  const text = values.get(name)?.reveal().trim();
  return text === '' ? undefined : text;
};

/**
 * One that stands in a header, a setting or a variable as it is.
 * @throws CacheError for what is more than one word
 */
export const revealedWord = (values: ReadonlyMap<string, Secret>, name: string): string | undefined => {
  const text = revealed(values, name);
  if (text === undefined || /^[\x21-\x7e]+$/.test(text)) return text;
  throw new CacheError(refused('credentials', `its ${name} has blanks or other characters that are in none`));
};
