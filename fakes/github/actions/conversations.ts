// Comments, reactions and reviews.
import { renderComment, renderIssue, renderReview } from '../render/conversation.ts';
import { renderListedPull } from '../render/pull.ts';
import type { Account, App, Comment, Issue, Pull, Reaction, Review } from '../state/entities.ts';
import type { JsonObject } from '../state/json.ts';
import { findConversation } from '../state/lookup.ts';
import { invalidField, Refusal } from '../state/refusal.ts';
import { mustGet, type World } from '../state/world.ts';

const maxBody = 65_536;

const checkBody = (body: string): void => {
  if (body.trim() === '') throw invalidField('IssueComment', 'body', `Body can't be blank`);
  if (body.length > maxBody)
    throw invalidField('IssueComment', 'body', `Body is too long (maximum is ${maxBody} characters)`);
};

const conversationOf = (world: World, comment: Comment): Issue | Pull => {
  const repository = mustGet(world.repositories, comment.repositoryId);
  const conversation = findConversation(world, repository, comment.number);
  if (conversation === null) throw new Error('the fake lost what a comment is on');
  return conversation;
};

const tellComment = (
  world: World,
  comment: Comment,
  told: { readonly action: string; readonly by: Account; readonly more?: JsonObject },
): void => {
  const conversation = conversationOf(world, comment);
  world.publish({
    event: 'issue_comment',
    action: told.action,
    sender: told.by,
    repository: mustGet(world.repositories, comment.repositoryId),
    body: {
      issue: renderIssue(world, conversation),
      comment: renderComment(world, comment, conversation.kind === 'pull'),
      ...told.more,
    },
  });
};

export const addComment = (
  world: World,
  conversation: Issue | Pull,
  given: { readonly by: Account; readonly app: App | null; readonly body: string },
): Comment => {
  if (conversation.deleted) throw new Refusal(410, 'This issue was deleted');
  if (conversation.locked) throw new Refusal(403, 'Unable to create comment because issue is locked.');
  checkBody(given.body);
  const now = world.clock.now();
  const comment: Comment = {
    id: world.nextId(),
    repositoryId: conversation.repositoryId,
    number: conversation.number,
    authorId: given.by.id,
    appId: given.app?.id ?? null,
    body: given.body,
    createdAtMs: now,
    updatedAtMs: now,
    reactions: [],
  };
  world.comments.set(comment.id, comment);
  tellComment(world, comment, { action: 'created', by: given.by });
  return comment;
};

export const editComment = (
  world: World,
  comment: Comment,
  { by, body }: { readonly by: Account; readonly body: string },
): void => {
  checkBody(body);
  const from = comment.body;
  comment.body = body;
  comment.updatedAtMs = world.clock.now();
  tellComment(world, comment, { action: 'edited', by, more: { changes: { body: { from } } } });
};

export const deleteComment = (world: World, comment: Comment, by: Account): void => {
  tellComment(world, comment, { action: 'deleted', by });
  world.comments.delete(comment.id);
};

/** A second one of the same kind by the same account is the first. */
export const react = (
  world: World,
  comment: Comment,
  { by, content }: { readonly by: Account; readonly content: string },
): { readonly reaction: Reaction; readonly isNew: boolean } => {
  const known = comment.reactions.find((one) => one.authorId === by.id && one.content === content);
  if (known !== undefined) return { reaction: known, isNew: false };
  const reaction = { id: world.nextId(), authorId: by.id, content, createdAtMs: world.clock.now() };
  comment.reactions = [...comment.reactions, reaction];
  return { reaction, isNew: true };
};

const tellReview = (
  world: World,
  pull: Pull,
  told: { readonly action: 'submitted' | 'dismissed'; readonly by: Account; readonly review: Review },
): void =>
  world.publish({
    event: 'pull_request_review',
    action: told.action,
    sender: told.by,
    repository: mustGet(world.repositories, pull.repositoryId),
    body: {
      review: {
        ...renderReview(world, pull, told.review),
        body: told.review.body === '' ? null : told.review.body,
        state: told.review.state.toLowerCase(),
      },
      pull_request: renderListedPull(world, pull),
    },
  });

export const addReview = (
  world: World,
  pull: Pull,
  given: {
    readonly by: Account;
    readonly state: Exclude<Review['state'], 'DISMISSED'>;
    readonly body: string;
    readonly sha: string | null;
  },
): Review => {
  const { by, state, body } = given;
  if (by.id === pull.authorId && state !== 'COMMENTED')
    throw new Refusal(422, 'Unprocessable Entity', {
      errors: [`Can not ${state === 'APPROVED' ? 'approve' : 'request changes on'} your own pull request`],
    });
  const review: Review = {
    id: world.nextId(),
    pullId: pull.id,
    authorId: by.id,
    commitSha: given.sha ?? pull.headSha,
    body,
    state,
    submittedAtMs: world.clock.now(),
  };
  world.reviews.set(review.id, review);
  tellReview(world, pull, { action: 'submitted', by, review });
  return review;
};

export const dismissReview = (world: World, review: Review, by: Account): void => {
  review.state = 'DISMISSED';
  tellReview(world, mustGet(world.pulls, review.pullId), { action: 'dismissed', by, review });
};
