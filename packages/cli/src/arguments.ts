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

/** @returns OWNER/REPO */
export const repositoryName = (text: string): string => {
  if (/^[^/\s]+\/[^/\s]+$/.test(text)) return text;
  throw new InvalidArgumentError('the configured name of a repository is wanted: OWNER/REPO.');
};

export const reviewId = (text: string): string => {
  if (/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) return text;
  throw new InvalidArgumentError('the id of a review is wanted, as it was printed when it was submitted.');
};

/** The address of a change in the API. */
export const changePath = (repository: string, number: number): string =>
  `/v1/prs/git/${repository.split('/').map(encodeURIComponent).join('/')}/${number}`;
