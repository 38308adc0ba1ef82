// A pull request as a page: its checks, what was said, and what its reader can do.

import type { Comment, Pull, Repository } from '../../state/entities.ts';
import { commentsOf, fullNameOf, protectionOf, queueOf, reviewsOf } from '../../state/lookup.ts';
import { mustGet, type World } from '../../state/world.ts';
import { checkList, checksInShort } from './check-list.ts';
import { type Html, html } from './html.ts';
import { actionForm, layOut, live, type Viewer } from './layout.ts';

export const pullState = (world: World, pull: Pull): readonly [className: string, word: string] => {
  if (pull.merged !== null) return ['merged', 'Merged'];
  if (pull.state === 'closed') return ['closed', 'Closed'];
  if ([...world.queue.values()].some(({ pullId }) => pullId === pull.id))
    return ['queued', 'In the merge queue'];
  return pull.draft ? ['draft', 'Draft'] : ['open', 'Open'];
};

const faces: Readonly<Record<string, string>> = {
  '+1': '👍',
  '-1': '👎',
  rocket: '🚀',
  confused: '😕',
  eyes: '👀',
  heart: '❤️',
  hooray: '🎉',
  laugh: '😄',
};

/** As GitHub shows it: what stands in HTML comments is for programs. */
const shownText = (body: string): string => body.replace(/<!--[^]*?(?:-->|$)/g, '').trim();

const commentItem = (world: World, { id, authorId, body, reactions }: Comment): Html => {
  const given = reactions.map(({ content, authorId: by }) => {
    const { login } = mustGet(world.accounts, by);
    return html` <span title="${login}: ${content}">${faces[content] ?? content}</span>`;
  });
  return html`<li id="comment-${id}"><b>${mustGet(world.accounts, authorId).login}</b>${given}<div class="text">${shownText(body)}</div></li>`;
};

const reviewWords = {
  APPROVED: 'approved',
  CHANGES_REQUESTED: 'asked for changes',
  COMMENTED: 'reviewed',
  DISMISSED: 'reviewed, which was dismissed',
} as const;

const conversation = (world: World, pull: Pull): Html => {
  const said = [
    ...commentsOf(world, pull).map((one) => ({ atMs: one.createdAtMs, item: commentItem(world, one) })),
    ...reviewsOf(world, pull).map(({ submittedAtMs, authorId, state, body }) => {
      const { login } = mustGet(world.accounts, authorId);
      const text = body === '' ? null : html`<div class="text">${body}</div>`;
      return { atMs: submittedAtMs, item: html`<li><b>${login}</b> ${reviewWords[state]}${text}</li>` };
    }),
  ];
  const items = said.toSorted((one, other) => one.atMs - other.atMs).map(({ item }) => item);
  return items.length === 0
    ? html`<p class="soft">Nobody has said anything.</p>`
    : html`<ul class="list">${items}</ul>`;
};

interface Shown {
  readonly repository: Repository;
  readonly pull: Pull;
  readonly path: string;
  readonly viewer: Viewer;
}

const deeds = (world: World, { repository, pull, path, viewer }: Shown): Html => {
  const fields = { repository: fullNameOf(world, repository), number: pull.number };
  const form = (command: string, label: string, more: object = {}): Html =>
    html`${actionForm({ command, path, fields: { ...fields, ...more } }, html`<button>${label}</button>`)} `;
  if (pull.merged !== null) return html``;
  if (pull.state === 'closed') return html`<p>${form('reopenPull', 'Reopen')}</p>`;
  const isQueued = queueOf(world, repository, pull.baseRef).some(({ pullId }) => pullId === pull.id);
  const hasQueue = protectionOf(repository, pull.baseRef)?.mergeQueue === true;
  const join = !hasQueue
    ? form('mergePull', 'Merge')
    : isQueued
      ? form('dequeue', 'Take out of the merge queue')
      : form('enqueue', 'Put into the merge queue');
  const isOwn = mustGet(world.accounts, pull.authorId).login === viewer.login;
  const approve = isOwn ? null : form('review', 'Approve in a review', { state: 'APPROVED' });
  return html`<p>${join}${approve}${form('closePull', 'Close')}</p>`;
};

const queueLine = (world: World, { repository, pull }: Shown): Html | null => {
  const entry = [...world.queue.values()].find(({ pullId }) => pullId === pull.id);
  if (entry === undefined) return null;
  const place = `/${fullNameOf(world, repository)}/commit/${entry.groupSha}`;
  const state = checksInShort(world, repository, entry.groupSha) ?? 'no checks yet';
  return html`<p>In the merge queue as <a href="${place}"><code>${entry.groupSha.slice(0, 12)}</code></a>: ${state}</p>`;
};

const heading = (world: World, { repository, pull }: Shown): Html => {
  const [className, word] = pullState(world, pull);
  const author = mustGet(world.accounts, pull.authorId).login;
  const fork = pull.headRepositoryId === null ? null : world.repositories.get(pull.headRepositoryId);
  const from =
    fork === repository || fork === null || fork === undefined ? '' : `${fullNameOf(world, fork)}:`;
  const commit = `/${fullNameOf(world, repository)}/commit/${pull.headSha}`;
  return html`<h1>${pull.title} <small>#${pull.number}</small></h1>
    <p><span class="state ${className}">${word}</span> <b>${author}</b> wants to merge <code>${from}${pull.headRef}</code>
    into <code>${pull.baseRef}</code>; the head is <a href="${commit}"><code>${pull.headSha.slice(0, 12)}</code></a></p>`;
};

export const pullPage = (world: World, shown: Shown): string => {
  const { repository, pull, path, viewer } = shown;
  const name = fullNameOf(world, repository);
  const body = html`${live('head', html`${heading(world, shown)}${queueLine(world, shown)}`)}
    ${pull.body === null ? null : html`<div class="text">${pull.body}</div>`}
    <h2>Checks</h2>${live('checks', checkList(world, { repository, sha: pull.headSha, path }))}
    <h2>Conversation</h2>${live('said', conversation(world, pull))}
    <form class="wide" method="post" action="/_form/comment"><input type="hidden" name="repository" value="${name}">
    <input type="hidden" name="number" value="${pull.number}"><input type="hidden" name="back" value="${path}">
    <label for="body">Say something, perhaps <code>@eka-ci help</code></label>
    <textarea id="body" name="body" rows="3" required></textarea><button class="main">Comment</button></form>
    ${live('deeds', deeds(world, shown))}`;
  return layOut({ title: `${pull.title} #${pull.number}`, path, viewer, trail: [[name, `/${name}`]], body });
};
