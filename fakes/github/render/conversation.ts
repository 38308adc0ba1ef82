// Issues, pull requests as issues, comments, reactions and reviews as GitHub shows them.
import type { Comment, Issue, Pull, Reaction, Repository, Review } from '../state/entities.ts';
import type { JsonObject } from '../state/json.ts';
import { associationOf, commentsOf } from '../state/lookup.ts';
import { mustGet, type World } from '../state/world.ts';
import { renderUser } from './account.ts';
import { renderApp } from './app.ts';
import { isoTime, isoTimeOrNull, nodeId } from './node-id.ts';
import { repositoryApiUrl, repositoryWebUrl } from './repository.ts';

const reactionContents = ['+1', '-1', 'laugh', 'confused', 'heart', 'hooray', 'rocket', 'eyes'] as const;

const rollUp = (url: string, reactions: readonly Reaction[]): JsonObject => ({
  url: `${url}/reactions`,
  total_count: reactions.length,
  ...Object.fromEntries(
    reactionContents.map((content) => [
      content,
      reactions.filter((reaction) => reaction.content === content).length,
    ]),
  ),
});

export const renderReaction = (world: World, reaction: Reaction): JsonObject => ({
  id: reaction.id,
  node_id: nodeId('Reaction', reaction.id),
  user: renderUser(world, mustGet(world.accounts, reaction.authorId)),
  content: reaction.content,
  created_at: isoTime(reaction.createdAtMs),
});

/** An issue as `issue_comment` carries it; a pull request is one that says so. */
export const renderIssue = (world: World, issue: Issue | Pull): JsonObject => {
  const repository = mustGet(world.repositories, issue.repositoryId);
  const author = mustGet(world.accounts, issue.authorId);
  const api = repositoryApiUrl(world, repository);
  const url = `${api}/issues/${issue.number}`;
  const web = `${repositoryWebUrl(world, repository)}/${issue.kind === 'pull' ? 'pull' : 'issues'}/${issue.number}`;
  return {
    url,
    repository_url: api,
    labels_url: `${url}/labels{/name}`,
    comments_url: `${url}/comments`,
    events_url: `${url}/events`,
    timeline_url: `${url}/timeline`,
    html_url: web,
    id: issue.id,
    node_id: nodeId(issue.kind === 'pull' ? 'PullRequest' : 'Issue', issue.id),
    number: issue.number,
    title: issue.title,
    user: renderUser(world, author),
    labels: [],
    state: issue.state,
    state_reason: null,
    locked: issue.locked,
    active_lock_reason: null,
    assignee: null,
    assignees: [],
    milestone: null,
    comments: commentsOf(world, issue).length,
    created_at: isoTime(issue.createdAtMs),
    updated_at: isoTime(issue.updatedAtMs),
    closed_at: isoTimeOrNull(issue.closedAtMs),
    author_association: associationOf(world, repository, author),
    body: issue.body,
    reactions: rollUp(url, []),
    performed_via_github_app: null,
    ...(issue.kind === 'issue'
      ? {}
      : {
          draft: issue.draft,
          pull_request: {
            url: `${api}/pulls/${issue.number}`,
            html_url: web,
            diff_url: `${web}.diff`,
            patch_url: `${web}.patch`,
            merged_at: isoTimeOrNull(issue.merged?.atMs ?? null),
          },
        }),
  };
};

export const renderComment = (world: World, comment: Comment, isPull: boolean): JsonObject => {
  const repository = mustGet(world.repositories, comment.repositoryId);
  const author = mustGet(world.accounts, comment.authorId);
  const api = repositoryApiUrl(world, repository);
  const url = `${api}/issues/comments/${comment.id}`;
  const kind = isPull ? 'pull' : 'issues';
  const app = comment.appId === null ? null : renderApp(world, mustGet(world.apps, comment.appId));
  return {
    url,
    html_url: `${repositoryWebUrl(world, repository)}/${kind}/${comment.number}#issuecomment-${comment.id}`,
    issue_url: `${api}/issues/${comment.number}`,
    id: comment.id,
    node_id: nodeId('IssueComment', comment.id),
    user: renderUser(world, author),
    created_at: isoTime(comment.createdAtMs),
    updated_at: isoTime(comment.updatedAtMs),
    author_association: associationOf(world, repository, author),
    body: comment.body,
    reactions: rollUp(url, comment.reactions),
    performed_via_github_app: app,
  };
};

/** `state` is in capitals over REST and in small letters in deliveries. */
export const renderReview = (world: World, pull: Pull, review: Review): JsonObject => {
  const repository: Repository = mustGet(world.repositories, pull.repositoryId);
  const author = mustGet(world.accounts, review.authorId);
  const html = `${repositoryWebUrl(world, repository)}/pull/${pull.number}#pullrequestreview-${review.id}`;
  const pullUrl = `${repositoryApiUrl(world, repository)}/pulls/${pull.number}`;
  return {
    id: review.id,
    node_id: nodeId('PullRequestReview', review.id),
    user: renderUser(world, author),
    body: review.body,
    state: review.state,
    html_url: html,
    pull_request_url: pullUrl,
    author_association: associationOf(world, repository, author),
    _links: { html: { href: html }, pull_request: { href: pullUrl } },
    submitted_at: isoTime(review.submittedAtMs),
    commit_id: review.commitSha,
  };
};
