// Addresses of GitHub's API out of names that came from elsewhere: no name can leave its place in the path.
import { GithubError } from './github-error.ts';

const encodePart = (part: string): string => {
  if (part === '' || part === '.' || part === '..' || !part.isWellFormed()) {
    throw new GithubError(
      'GITHUB_NAME_INVALID',
      `${JSON.stringify(part)} cannot stand in an address of GitHub`,
    );
  }
  return encodeURIComponent(part);
};

/**
 * A path of these names, each encoded; a slash in a name separates, as in `owner/repo` or a branch.
 * @throws GithubError GITHUB_NAME_INVALID where one of them is empty, `.` or `..`
 */
export const apiPath = (...names: readonly (string | number)[]): string =>
  names.map((name) => `/${String(name).split('/').map(encodePart).join('/')}`).join('');

/** With these parameters; what is undefined is left out. */
export const withQuery = (
  path: string,
  query: Readonly<Record<string, string | number | undefined>>,
): string => {
  const given = Object.entries(query).flatMap(([key, value]): [string, string][] =>
    value === undefined ? [] : [[key, String(value)]],
  );
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given).toString()}`;
};

/** The full URL: GitHub Enterprise has GraphQL beside its REST API, not below it. */
export const apiUrlOf = (apiUrl: string, path: string): string =>
  path === graphqlPath && apiUrl.endsWith('/api/v3')
    ? `${apiUrl.slice(0, -'/v3'.length)}${graphqlPath}`
    : `${apiUrl}${path}`;

export const graphqlPath = '/graphql';
