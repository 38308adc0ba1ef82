// Repositories as pages: their pull requests, what could become one, their merge queue, and one commit's checks.
import type { Pull, Repository } from '../../state/entities.ts';
import { fullNameOf } from '../../state/lookup.ts';
import { mustGet, type World } from '../../state/world.ts';
import { checkList, checksInShort } from './check-list.ts';
import { type Html, html } from './html.ts';
import { layOut, live, type Viewer } from './layout.ts';
import { pullState } from './pull-page.ts';

interface Shown {
  readonly repository: Repository;
  readonly path: string;
  readonly viewer: Viewer;
}

const pullsOf = (world: World, repository: Repository): Pull[] =>
  [...world.pulls.values()]
    .filter(({ repositoryId }) => repositoryId === repository.id)
    .toSorted((one, other) => other.number - one.number);

const pullItem = (world: World, repository: Repository, pull: Pull): Html => {
  const [className, word] = pullState(world, pull);
  const place = `/${fullNameOf(world, repository)}/pull/${pull.number}`;
  return html`<li class="row"><span><a href="${place}">${pull.title}</a> <span class="soft">#${pull.number} by
    ${mustGet(world.accounts, pull.authorId).login}</span></span>
    <span>${checksInShort(world, repository, pull.headSha)} <span class="state ${className}">${word}</span></span></li>`;
};

const pullList = (world: World, repository: Repository): Html => {
  const pulls = pullsOf(world, repository);
  if (pulls.length === 0) return html`<p class="soft">There are none.</p>`;
  return html`<ul class="list">${pulls.map((pull) => pullItem(world, repository, pull))}</ul>`;
};

const queueList = (world: World, repository: Repository): Html => {
  const entries = [...world.queue.values()].filter(({ repositoryId }) => repositoryId === repository.id);
  const items = entries.map(({ pullId, groupSha, baseRef }) => {
    const { number, title } = mustGet(world.pulls, pullId);
    const place = `/${fullNameOf(world, repository)}/commit/${groupSha}`;
    return html`<li class="row"><span>#${number} ${title} <span class="soft">into ${baseRef}</span></span>
      <span>${checksInShort(world, repository, groupSha)} <a href="${place}"><code>${groupSha.slice(0, 12)}</code></a></span></li>`;
  });
  return items.length === 0 ? html`` : html`<h2>Merge queue</h2><ul class="list">${items}</ul>`;
};

/** Branches here and in forks that no pull request is of, but for closed ones: `[head, from]`. */
const branchesToOffer = (world: World, repository: Repository): (readonly [string, Repository])[] => {
  const offered = pullsOf(world, repository).filter(
    ({ state, merged }) => state === 'open' || merged !== null,
  );
  const family = [...world.repositories.values()].filter(
    ({ id, parentId }) => id === repository.id || parentId === repository.id,
  );
  return family.flatMap((from) =>
    [...from.branches.keys()]
      .filter((branch) => branch !== from.defaultBranch)
      .filter((branch) => !branch.startsWith('gh-readonly-queue/'))
      .filter(
        (branch) => from === repository || from.branches.get(branch) !== repository.branches.get(branch),
      )
      .filter(
        (branch) => !offered.some((pull) => pull.headRepositoryId === from.id && pull.headRef === branch),
      )
      .map((branch) => [branch, from] as const),
  );
};

const openForm = (world: World, { repository, path }: Shown): Html => {
  const branches = branchesToOffer(world, repository);
  if (branches.length === 0) return html`<p class="soft">Every branch has one: push another.</p>`;
  const name = fullNameOf(world, repository);
  const options = branches.map(([branch, from]) => {
    const value = `${fullNameOf(world, from)}:${branch}`;
    return html`<option value="${value}">${from === repository ? branch : value}</option>`;
  });
  return html`<form class="wide" method="post" action="/_form/openPull">
    <input type="hidden" name="repository" value="${name}"><input type="hidden" name="back" value="${path}">
    <label for="of">Of which branch</label><select id="of" name="of">${options}</select>
    <label for="title">What it does</label><input id="title" name="title" value="A change" required maxlength="200">
    <button class="main">Open a pull request</button></form>`;
};

export const repositoryPage = (world: World, shown: Shown): string => {
  const { repository, path, viewer } = shown;
  const name = fullNameOf(world, repository);
  const body = html`<h1>${name}</h1><p class="soft">git clone ${world.urls.web}/${name}.git</p>
    <h2>Pull requests</h2>${live('pulls', pullList(world, repository))}
    ${live('queue', queueList(world, repository))}
    <h2>Open one</h2>${openForm(world, shown)}`;
  return layOut({ title: name, path, viewer, trail: [[name, `/${name}`]], body });
};

export const commitPage = (world: World, shown: Shown & { readonly sha: string }): string => {
  const { repository, sha, path, viewer } = shown;
  const name = fullNameOf(world, repository);
  const body = html`<h1>Commit <code>${sha.slice(0, 12)}</code></h1>
    ${live('checks', checkList(world, { repository, sha, path }))}`;
  return layOut({ title: `${sha.slice(0, 12)} in ${name}`, path, viewer, trail: [[name, `/${name}`]], body });
};

export const homePage = (world: World, { path, viewer }: Omit<Shown, 'repository'>): string => {
  const items = [...world.repositories.values()].map((repository) => {
    const name = fullNameOf(world, repository);
    const open = pullsOf(world, repository).filter(({ state }) => state === 'open').length;
    return html`<li class="row"><a href="/${name}">${name}</a><span class="soft">${open} open pull requests</span></li>`;
  });
  const list =
    items.length === 0 ? html`<p>There are no repositories.</p>` : html`<ul class="list">${items}</ul>`;
  const body = html`<h1>Repositories</h1>${live('repositories', list)}`;
  return layOut({ title: 'A GitHub that is none', path, viewer, trail: [], body });
};
