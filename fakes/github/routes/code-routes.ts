// Routes about what git holds: refs, commits, files, differences.
import { diffCommits, listCommits, mergeBase, readCommit } from '../git/commits.ts';
import { resolveCommit } from '../git/repository-folder.ts';
import {
  type Answer,
  type Call,
  type Need,
  ok,
  openRepository,
  param,
  type Routes,
  takePage,
} from '../http/call.ts';
import { renderCommit, renderFile } from '../render/commit.ts';
import { nodeId } from '../render/node-id.ts';
import { renderListedPull } from '../render/pull.ts';
import { repositoryApiUrl, repositoryWebUrl } from '../render/repository.ts';
import type { Repository } from '../state/entities.ts';
import type { JsonObject } from '../state/json.ts';
import { ownerOf } from '../state/lookup.ts';
import { notFound, Refusal } from '../state/refusal.ts';
import type { World } from '../state/world.ts';
import { archiveUrl } from '../web/archives.ts';

const contents: Need = { any: ['contents'], level: 'read' };

const mustResolve = async (world: World, repository: Repository, name: string): Promise<string> => {
  const sha = await resolveCommit(world.git, repository.folder, name);
  if (sha === null) throw new Refusal(422, `No commit found for SHA: ${name}`);
  return sha;
};

const listOfCommits = async (call: Call): Promise<Answer> => {
  const { world, query } = call;
  const repository = openRepository(call, contents);
  const from = await mustResolve(world, repository, query.get('sha') ?? repository.defaultBranch);
  const bounds = (['since', 'until', 'author', 'committer'] as const).flatMap((name) => {
    const value = query.get(name);
    return value === null ? [] : [`--${name}=${value}`];
  });
  const path = query.get('path');
  const range = [...bounds, from, ...(path === null ? [] : ['--', path])];
  const commits = await listCommits(world.git, repository.folder, range);
  const { items, headers } = takePage(call, commits);
  return { ...ok(items.map((one) => renderCommit(world, repository, one))), headers };
};

const emptyTree = '4b825dc642cb6eb9a060e54bf8d69288fbee4904';

const getCommit = async (call: Call): Promise<Answer> => {
  const { world } = call;
  const repository = openRepository(call, contents);
  const sha = await mustResolve(world, repository, param(call, 'ref'));
  const commit = await readCommit(world.git, repository.folder, sha);
  const changes = await diffCommits(world.git, repository.folder, commit.parents[0] ?? emptyTree, sha);
  const additions = changes.reduce((sum, one) => sum + one.additions, 0);
  const deletions = changes.reduce((sum, one) => sum + one.deletions, 0);
  return ok({
    ...renderCommit(world, repository, commit),
    stats: { total: additions + deletions, additions, deletions },
    files: changes.map((change) => renderFile(world, repository, { sha, change })),
  });
};

/** `base...head`; a head in another repository of the network is `owner:branch`. */
const compare = async (call: Call): Promise<Answer> => {
  const { world } = call;
  const repository = openRepository(call, contents);
  const { folder } = repository;
  const [baseName = '', headName = ''] = param(call, 'basehead').split('...');
  const resolve = async (name: string): Promise<string> => {
    const [owner, branch] = name.includes(':') ? name.split(':') : [null, name];
    const holder = [...world.repositories.values()].find((one) =>
      owner === null
        ? one === repository
        : ownerOf(world, one).login === owner && (one === repository || one.parentId === repository.id),
    );
    const sha = holder === undefined ? null : await resolveCommit(world.git, holder.folder, branch ?? '');
    const here = sha === null ? null : await resolveCommit(world.git, folder, sha);
    if (here === null) throw notFound();
    return here;
  };
  const [base, head] = [await resolve(baseName), await resolve(headName)];
  const common = await mergeBase(world.git, folder, base, head);
  if (common === null) throw new Refusal(404, `No common ancestor between ${baseName} and ${headName}.`);
  const commits = await listCommits(world.git, folder, [`${base}..${head}`, '--reverse']);
  const behind = await listCommits(world.git, folder, [`${head}..${base}`]);
  const changes = await diffCommits(world.git, folder, common, head);
  const status =
    commits.length === 0
      ? behind.length === 0
        ? 'identical'
        : 'behind'
      : behind.length === 0
        ? 'ahead'
        : 'diverged';
  const { items, headers } = takePage(call, commits);
  const render = async (sha: string): Promise<JsonObject> =>
    renderCommit(world, repository, await readCommit(world.git, folder, sha));
  const web = `${repositoryWebUrl(world, repository)}/compare/${base}...${head}`;
  const body = {
    url: `${repositoryApiUrl(world, repository)}/compare/${base}...${head}`,
    html_url: web,
    permalink_url: web,
    diff_url: `${web}.diff`,
    patch_url: `${web}.patch`,
    base_commit: await render(base),
    merge_base_commit: await render(common),
    status,
    ahead_by: commits.length,
    behind_by: behind.length,
    total_commits: commits.length,
    commits: items.map((one) => renderCommit(world, repository, one)),
    files: changes.slice(0, 300).map((change) => renderFile(world, repository, { sha: head, change })),
  };
  return { ...ok(body), headers };
};

const refsOf = async (world: World, repository: Repository, prefix: string): Promise<JsonObject[]> => {
  const listed = await world.git.run(repository.folder, [
    'for-each-ref',
    '--format=%(objectname) %(objecttype) %(refname)',
  ]);
  return listed
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , ref]) => ref?.startsWith(`refs/${prefix}`) === true)
    .map(([sha = '', type = '', ref = '']) => ({
      ref,
      node_id: nodeId('Ref', `${repository.id}:${ref}`),
      url: `${repositoryApiUrl(world, repository)}/git/${ref}`,
      object: { sha, type, url: `${repositoryApiUrl(world, repository)}/git/${type}s/${sha}` },
    }));
};

const getContents = async (call: Call): Promise<Answer> => {
  const { world, query } = call;
  const repository = openRepository(call, contents);
  const path = param(call, 'path');
  const ref = query.get('ref') ?? repository.defaultBranch;
  const sha = await resolveCommit(world.git, repository.folder, ref);
  if (sha === null) throw new Refusal(404, `No commit found for the ref ${ref}`);
  const listed = await world.git.run(repository.folder, ['ls-tree', '-z', '-l', sha, '--', path]);
  const [, type, blob = '', size] = /^\d+ (\w+) ([0-9a-f]+) +(\S+)\t/.exec(listed) ?? [];
  // Folders are lists there, which nobody here asks for.
  if (type !== 'blob') throw notFound();
  const { stdout: text } = await world.git.attempt(repository.folder, ['cat-file', 'blob', blob]);
  const api = `${repositoryApiUrl(world, repository)}/contents/${path}?ref=${ref}`;
  const git = `${repositoryApiUrl(world, repository)}/git/blobs/${blob}`;
  const html = `${repositoryWebUrl(world, repository)}/blob/${ref}/${path}`;
  return ok({
    type: 'file',
    encoding: 'base64',
    size: Number(size),
    name: path.split('/').at(-1) ?? path,
    path,
    content: Buffer.from(text).toString('base64'),
    sha: blob,
    url: api,
    git_url: git,
    html_url: html,
    download_url: `${repositoryWebUrl(world, repository)}/raw/${ref}/${path}`,
    _links: { self: api, git, html },
  });
};

const pullsOfCommit = async (call: Call): Promise<Answer> => {
  const { world } = call;
  const repository = openRepository(call, { any: ['pull_requests'], level: 'read' });
  const sha = await mustResolve(world, repository, param(call, 'commit_sha'));
  const pulls = [...world.pulls.values()].filter(
    (pull) => pull.repositoryId === repository.id && (pull.headSha === sha || pull.merged?.sha === sha),
  );
  const { items, headers } = takePage(call, pulls);
  return { ...ok(items.map((one) => renderListedPull(world, one))), headers };
};

export const codeRoutes: Routes = {
  'GET /repos/{owner}/{repo}/commits': listOfCommits,
  'GET /repos/{owner}/{repo}/commits/{commit_sha}/pulls': pullsOfCommit,
  'GET /repos/{owner}/{repo}/commits/{ref}': getCommit,
  'GET /repos/{owner}/{repo}/compare/{basehead}': compare,
  'GET /repos/{owner}/{repo}/contents/{path}': getContents,
  'GET /repos/{owner}/{repo}/git/ref/{ref}': async (call) => {
    const repository = openRepository(call, contents);
    const wanted = param(call, 'ref');
    const found = (await refsOf(call.world, repository, wanted)).find(({ ref }) => ref === `refs/${wanted}`);
    if (found === undefined) throw notFound();
    return ok(found);
  },
  'GET /repos/{owner}/{repo}/tarball/{ref}': async (call) => {
    const repository = openRepository(call, contents);
    const location = await archiveUrl(call.world, repository, param(call, 'ref'));
    return { status: 302, body: null, headers: { location } };
  },
  'GET /repos/{owner}/{repo}/git/matching-refs/{ref}': async (call) => {
    const repository = openRepository(call, contents);
    return ok(await refsOf(call.world, repository, param(call, 'ref')));
  },
};
