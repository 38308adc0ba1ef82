// Whether what was found under a name is of the repository that was meant.
import { repositoryKey } from '../../database/repositories.ts';
import type { EventRepository, ForgeRepositoryId, OfferedChange } from '../../forge/forge-event.ts';
import type { HostedForge } from '../../forge/hosted-forge.ts';

/** Whose it is, for whoever writes it. */
export const ofRepository = ({ id }: Pick<EventRepository, 'id'>): { readonly repositoryId?: number } =>
  id === 0 ? {} : { repositoryId: id };

/** False: somebody else has the name by which it was asked for. */
export const isOfRepository = (
  { repositoryId }: OfferedChange,
  { id }: Pick<EventRepository, 'id'>,
): boolean => repositoryId === undefined || id === 0 || repositoryId === id;

/** Whether what was found under its name is its own. @throws HostedForgeFault */
export const hasItsName = async (
  forge: Pick<HostedForge, 'findRepository'>,
  { id, name }: ForgeRepositoryId,
  signal: AbortSignal,
): Promise<boolean> => {
  if (id === 0) return true;
  const found = await forge.findRepository({ id, name }, signal);
  return found?.id === id && repositoryKey(found.name) === repositoryKey(name);
};
