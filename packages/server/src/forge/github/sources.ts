// Addresses under which GitHub gives the content of a repository, and what it takes to read that of a single one.
import { permitsRepository } from '../../config/permissions.ts';
import type { ForgeSource } from '../hosted-forge.ts';
import { apiPath } from './api-path.ts';
import type { GithubApps } from './github-apps.ts';
import { isGithubError } from './github-error.ts';

export interface GithubUrls {
  /** Without a slash at the end, as the API's. */
  readonly webUrl: string;
  readonly apiUrl: string;
}

const name = '(?<owner>[\\w-]+)/(?<repo>[\\w.-]+?)';

const repositoryPath = new RegExp(`^/${name}(?:\\.git)?/?$`);
const archivePaths = {
  web: new RegExp(`^/${name}/archive/(?<ref>.+)\\.tar\\.gz$`),
  api: new RegExp(`^/repos/${name}/tarball/(?<ref>.+)$`),
  /** https://docs.github.com/en/rest/repos/contents#download-a-repository-archive-tar leads there. */
  codeload: new RegExp(`^/${name}/(?:legacy\\.)?tar\\.gz/(?<ref>.+)$`),
};

const find = (expression: RegExp, path: string): Readonly<Record<string, string>> | null => {
  const found = expression.exec(path)?.groups ?? null;
  // Names that a path would make another of.
  return found === null || /^\.{1,2}$/.test(found['repo'] ?? '') ? null : found;
};

/** Parts of a path that were encoded mean what they say; null for what nobody means. */
const decode = (path: string): string | null => {
  try {
    const decoded = decodeURIComponent(path);
    const isPlain = /^[\x21-\x7e]*$/.test(decoded) && !/[\\?#]/.test(decoded);
    return isPlain && !decoded.split('/').some((part) => part === '.' || part === '..') ? decoded : null;
  } catch {
    return null;
  }
};

/** See `HostedForge.findSource`. */
export const findGithubSource = (urls: GithubUrls, url: string): ForgeSource | null => {
  const asked = URL.parse(url);
  const [web, api] = [new URL(urls.webUrl), new URL(urls.apiUrl)];
  if (asked === null || !/^https?:$/.test(asked.protocol) || asked.username !== '' || asked.search !== '')
    return null;
  const path = decode(asked.pathname);
  if (path === null) return null;
  const archiveOf = (found: Readonly<Record<string, string>> | null): ForgeSource | null => {
    const { owner = '', repo = '', ref = '' } = found ?? {};
    if (found === null || ref.split('/').includes('')) return null;
    const repository = `${owner}/${repo}`;
    const at = `${urls.apiUrl}${apiPath('repos', repository, 'tarball', ref)}`;
    return { repository, of: 'archive', url: at };
  };
  // An Enterprise server has all on one host; what is written http leads to https, and never the other way.
  if (asked.host === api.host && path.startsWith(`${api.pathname.replace(/\/$/, '')}/repos/`)) {
    const below = path.slice(api.pathname.replace(/\/$/, '').length);
    return archiveOf(find(archivePaths.api, below));
  }
  if (asked.host === `codeload.${web.host}`) return archiveOf(find(archivePaths.codeload, path));
  if (asked.host !== web.host) return null;
  const plain = find(repositoryPath, path);
  if (plain === null) return archiveOf(find(archivePaths.web, path));
  const repository = `${plain['owner']}/${plain['repo']}`;
  return { repository, of: 'repository', url: `${urls.webUrl}/${repository}.git` };
};

const ownerOf = (repository: string): string => repository.slice(0, repository.indexOf('/')).toLowerCase();
const repoOf = (repository: string): string => repository.slice(repository.indexOf('/') + 1);

/** See `HostedForge.sourceAccess`. @throws GithubError */
export const accessGithubSource = async (
  apps: GithubApps,
  { source, reader }: { readonly source: string; readonly reader: string },
  signal: AbortSignal,
): Promise<{ readonly authorization: string } | null> => {
  if (ownerOf(source) !== ownerOf(reader)) return null;
  const speaker = await apps.choose(reader, null, signal);
  if (speaker.kind === 'none' || !permitsRepository(speaker.permissions, source)) return null;
  try {
    const token = (await speaker.contentToken(repoOf(source), signal)).reveal();
    return { authorization: `Basic ${Buffer.from(`x-access-token:${token}`).toString('base64')}` };
  } catch (error) {
    // The app is not there, or may not read it: GitHub says only that there is no such thing for it.
    if (isGithubError(error, 'GITHUB_REFUSED', 'GITHUB_FORBIDDEN', 'GITHUB_NOT_FOUND')) return null;
    throw error;
  }
};
