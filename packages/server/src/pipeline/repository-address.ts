// Which repository an address means: the name under which its changes are kept. Pure.
import type { ForgeRepository } from '../forge/forge.ts';
import { type HostedForge, hostedName } from '../forge/hosted-forge.ts';

export interface RepositoryAddress {
  /** `git`; the kind of a hosted forge, for the first of that kind; or the host of one, where there are several. */
  readonly forge: string;
  readonly owner: string;
  readonly name: string;
}

export interface ServedRepositories {
  readonly repositories: readonly Pick<ForgeRepository, 'name'>[];
  readonly hosted: readonly Pick<HostedForge, 'kind' | 'host'>[];
  /** As it is called now, of whatever name of it in any case; null where it was never seen. @default never was */
  readonly nameNow?: (host: string, repository: string) => string | null;
}

/** Null for what is not served. Of a hosted forge whatever it may have: who asks for what it has not finds no change. */
export const findServedName = (
  { forge, owner, name }: RepositoryAddress,
  { repositories, hosted, nameNow = () => null }: ServedRepositories,
): string | null => {
  const repository = `${owner}/${name}`;
  if (forge === 'git') return repositories.find((one) => one.name === repository)?.name ?? null;
  const wanted = forge.toLowerCase();
  const found = hosted.find(({ host }) => host === wanted) ?? hosted.find(({ kind }) => kind === wanted);
  return found === undefined ? null : hostedName(found.host, nameNow(found.host, repository) ?? repository);
};
