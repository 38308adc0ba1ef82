// The address of a repository at a forge, from the parts that people know it by.

const domain = /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?$/i;
const name = /^[\w-][\w.-]*$/;

/**
 * @param owner may have several parts, as GitLab's groups have
 * @returns null where a part is none
 */
export const repositoryUrl = (host: string, owner: string, repository: string): string | null => {
  if (!domain.test(host) || !owner.split('/').every((part) => name.test(part)) || !name.test(repository)) {
    return null;
  }
  const url = `https://${host.toLowerCase()}/${owner}/${repository}`;
  return URL.canParse(url) ? url : null;
};
