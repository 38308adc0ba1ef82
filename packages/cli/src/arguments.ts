// Readers of option values: each gives the value or an error that names what is allowed.
import { InvalidArgumentError } from 'commander';

/** A whole number from `least` to `most`. */
export const wholeNumber =
  (least: number, most = 1_000_000_000) =>
  (text: string): number => {
    const value = Number(text);
    if (!/^\d{1,12}$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(`a whole number from ${least} to ${most} is wanted.`);
    }
    return value;
  };

/** For options that may be given several times. */
export const collect = (value: string, earlier: readonly string[]): readonly string[] => [...earlier, value];

/** A derivation by its path or by the last part of it. @returns `hash-name.drv` */
export const derivationName = (text: string): string => {
  const name = text.slice(text.lastIndexOf('/') + 1);
  if (!/^[0-9a-z]{32}-[\w+.?=-]+\.drv$/.test(name)) {
    throw new InvalidArgumentError(
      'a derivation is wanted: /nix/store/<hash>-<name>.drv, or <hash>-<name>.drv.',
    );
  }
  return name;
};

/** @returns the URL without a slash at its end */
export const serverUrl = (text: string): string => {
  const url = URL.canParse(text) ? new URL(text) : null;
  const isPlain = url !== null && url.username === '' && url.search === '' && url.hash === '';
  if (!isPlain || !['http:', 'https:'].includes(url.protocol)) {
    throw new InvalidArgumentError('an address is wanted, for example https://ci.example.org.');
  }
  return url.href.replace(/\/+$/, '');
};

/** OWNER/REPO, or HOST/OWNER/REPO of a forge: `github.com/owner/repo`. */
export const isRepositoryName = (text: string): boolean => /^(?:[^/\s]+\/)?[^/\s]+\/[^/\s]+$/.test(text);

/** @returns OWNER/REPO, or HOST/OWNER/REPO */
export const repositoryName = (text: string): string => {
  if (isRepositoryName(text)) return text;
  throw new InvalidArgumentError(
    'the name of a repository is wanted: OWNER/REPO as it is configured, or HOST/OWNER/REPO of a forge.',
  );
};

/** @returns 40 lowercase hexadecimal digits, or 64 */
export const commitSha = (text: string): string => {
  if (/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/i.test(text)) return text.toLowerCase();
  throw new InvalidArgumentError('a whole commit id is wanted, of 40 or 64 hexadecimal digits.');
};

export const reviewId = (text: string): string => {
  if (/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) return text;
  throw new InvalidArgumentError('the id of a review is wanted, as it was printed when it was submitted.');
};

/** The address of a change in the API: a forge is named there by its host. */
export const changePath = (repository: string, number: number): string => {
  const parts = repository.split('/').map(encodeURIComponent);
  return ['/v1/prs', ...(parts.length > 2 ? [] : ['git']), ...parts, number].join('/');
};

export interface ForgeLogin {
  readonly forge: string;
  readonly login: string;
}

/** FORGE:LOGIN, as the server's configuration has it: `github:octocat`. */
export const forgeLogin = (text: string): ForgeLogin => {
  const [, forge, login] = /^([a-z0-9.-]+):([^\s:/]{1,255})$/i.exec(text) ?? [];
  if (forge !== undefined && login !== undefined) return { forge, login };
  throw new InvalidArgumentError('somebody is wanted as FORGE:LOGIN, for example github:octocat.');
};
