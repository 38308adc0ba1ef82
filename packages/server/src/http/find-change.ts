// The change that an address names.
import type { StoredChange } from '../database/database.ts';
import { HttpError } from './errors.ts';
import type { HttpDeps } from './http-options.ts';

interface ChangeAddress {
  readonly forge: string;
  readonly owner: string;
  readonly repo: string;
  readonly number: number;
}

type FindDeps = Pick<HttpDeps, 'database' | 'findRepository'>;

/** The newest head of that number. @throws HttpError REPOSITORY_NOT_FOUND, CHANGE_NOT_FOUND */
export const findChange = async (
  { database, findRepository }: FindDeps,
  { forge, owner, repo, number }: ChangeAddress,
): Promise<StoredChange> => {
  const repository = findRepository({ forge, owner, name: repo });
  if (repository === null) {
    throw new HttpError(
      'REPOSITORY_NOT_FOUND',
      'no such repository is configured: /v1/prs lists changes of all',
    );
  }
  const change = await database.changes.findByNumber(repository, number);
  if (change !== null) return change;
  throw new HttpError(
    'CHANGE_NOT_FOUND',
    `${repository} has no change ${number}: /v1/prs lists what there is`,
  );
};

/** As changes hold it: of a hosted forge `host/owner/repo` by whatever name, in any case. */
export const keptRepositoryOf = ({ findRepository }: FindDeps, written: string): string => {
  const [forge = '', owner, name, ...more] = written.split('/');
  if (owner === undefined || name === undefined || more.length > 0) return written;
  return findRepository({ forge, owner, name }) ?? written;
};
