// Archives of commits: the API and the web pages lead to where they are, as GitHub's do to codeload.github.com, with a
// word in the address that opens those of private repositories.
import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { startChild } from '@eka-ci/process';
import { resolveCommit } from '../git/repository-folder.ts';
import type { Repository } from '../state/entities.ts';
import { findRepository, fullNameOf } from '../state/lookup.ts';
import { notFound } from '../state/refusal.ts';
import type { World } from '../state/world.ts';

const prefix = '/_codeload/';

/** Where an archive of that commit is. @throws Refusal where there is no such commit */
export const archiveUrl = async (world: World, repository: Repository, ref: string): Promise<string> => {
  const sha = await resolveCommit(world.git, repository.folder, ref);
  if (sha === null) throw notFound();
  const url = `${world.urls.web}${prefix}${fullNameOf(world, repository)}/legacy.tar.gz/${sha}`;
  if (!repository.private) return url;
  const word = randomBytes(12).toString('hex');
  world.archiveWords.set(word, `${repository.id} ${sha}`);
  return `${url}?token=${word}`;
};

export type ArchiveAnswer =
  | { readonly kind: 'redirect'; readonly location: string }
  | { readonly kind: 'archive'; readonly repository: Repository; readonly sha: string };

/** Null for what is no address of an archive. @throws Refusal */
export const findArchive = async (world: World, url: URL): Promise<ArchiveAnswer | null> => {
  const path = url.pathname;
  const [, owner = '', name = '', sha = ''] =
    /^\/_codeload\/([^/]+)\/([^/]+)\/legacy\.tar\.gz\/([0-9a-f]{40})$/.exec(path) ?? [];
  if (sha !== '') {
    const repository = findRepository(world, owner, name);
    const word = world.archiveWords.get(url.searchParams.get('token') ?? '');
    if (repository === null || (repository.private && word !== `${repository.id} ${sha}`)) throw notFound();
    return { kind: 'archive', repository, sha };
  }
  const [, webOwner = '', webName = '', ref = ''] =
    /^\/([^/]+)\/([^/]+)\/archive\/(.+)\.tar\.gz$/.exec(path) ?? [];
  if (ref === '') return null;
  const repository = findRepository(world, webOwner, webName);
  if (repository === null || repository.private) throw notFound();
  return { kind: 'redirect', location: await archiveUrl(world, repository, ref) };
};

export const sendArchive = async (
  world: World,
  { repository, sha }: Extract<ArchiveAnswer, { kind: 'archive' }>,
  response: ServerResponse,
): Promise<void> => {
  const folder = fullNameOf(world, repository).replace('/', '-');
  const child = await startChild({
    command: 'git',
    args: [
      '-C',
      repository.folder,
      'archive',
      '--format=tar.gz',
      `--prefix=${folder}-${sha.slice(0, 7)}/`,
      sha,
    ],
    env: world.git.env,
    onOwnerDeath: 'SIGTERM',
  });
  child.stderr.resume();
  response.writeHead(200, { 'content-type': 'application/x-gzip' });
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) response.write(chunk);
  await child.exited;
  response.end();
};
