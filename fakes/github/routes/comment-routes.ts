// Routes about comments on issues and pull requests, and reactions to them.
import * as z from 'zod';
import { addComment, deleteComment, editComment, react } from '../actions/conversations.ts';
import {
  type Answer,
  actorOf,
  type Call,
  created,
  idParam,
  type Level,
  type Need,
  nothing,
  ok,
  openRepository,
  type Routes,
  takePage,
} from '../http/call.ts';
import { renderComment, renderReaction } from '../render/conversation.ts';
import type { Account, Comment, Issue, Pull } from '../state/entities.ts';
import { commentsOf, findConversation, isAtLeast, roleOf } from '../state/lookup.ts';
import { forbidden, notFound, Refusal } from '../state/refusal.ts';
import { mustGet } from '../state/world.ts';

const need = (level: Level): Need => ({ any: ['issues', 'pull_requests'], level });

/** Whoever may read may say something: writing is asked of apps only. */
const saying = ({ principal }: Call): Need => need(principal.kind === 'user' ? 'read' : 'write');

const openConversation = (call: Call, wanted: Need): Issue | Pull => {
  const repository = openRepository(call, wanted);
  const conversation = findConversation(call.world, repository, idParam(call, 'issue_number'));
  if (conversation === null) throw notFound();
  if (conversation.deleted) throw new Refusal(410, 'This issue was deleted');
  return conversation;
};

const openComment = (call: Call, wanted: Need): Comment => {
  const repository = openRepository(call, wanted);
  const comment = call.world.comments.get(idParam(call, 'comment_id'));
  if (comment?.repositoryId !== repository.id) throw notFound();
  return comment;
};

const render = (call: Call, comment: Comment) => {
  const repository = mustGet(call.world.repositories, comment.repositoryId);
  const conversation = findConversation(call.world, repository, comment.number);
  return renderComment(call.world, comment, conversation?.kind === 'pull');
};

const Body = z.object({ body: z.string() });

/** One's own, or with write access anybody's. */
const checkAuthor = (call: Call, comment: Comment, by: Account): void => {
  if (comment.authorId === by.id || call.principal.kind !== 'user') return;
  const repository = mustGet(call.world.repositories, comment.repositoryId);
  if (!isAtLeast(roleOf(call.world, repository, by), 'write'))
    throw forbidden('Must have admin rights to Repository.');
};

const postComment = (call: Call): Answer => {
  const conversation = openConversation(call, saying(call));
  const { body } = Body.parse(call.body);
  return created(render(call, addComment(call.world, conversation, { ...actorOf(call), body })));
};

const patchComment = (call: Call): Answer => {
  const comment = openComment(call, saying(call));
  const { by } = actorOf(call);
  checkAuthor(call, comment, by);
  editComment(call.world, comment, { by, body: Body.parse(call.body).body });
  return ok(render(call, comment));
};

const removeComment = (call: Call): Answer => {
  const comment = openComment(call, saying(call));
  const { by } = actorOf(call);
  checkAuthor(call, comment, by);
  deleteComment(call.world, comment, by);
  return nothing;
};

const listComments = (call: Call): Answer => {
  const since = call.query.get('since');
  const all = commentsOf(call.world, openConversation(call, need('read'))).filter(
    ({ updatedAtMs }) => since === null || updatedAtMs >= Date.parse(since),
  );
  const { items, headers } = takePage(call, all);
  return { ...ok(items.map((one) => render(call, one))), headers };
};

const listReactions = (call: Call): Answer => {
  const content = call.query.get('content');
  const all = openComment(call, need('read')).reactions.filter(
    (one) => content === null || one.content === content,
  );
  const { items, headers } = takePage(call, all);
  return { ...ok(items.map((one) => renderReaction(call.world, one))), headers };
};

const postReaction = (call: Call): Answer => {
  const comment = openComment(call, saying(call));
  const { content } = z.object({ content: z.string() }).parse(call.body);
  const { reaction, isNew } = react(call.world, comment, { by: actorOf(call).by, content });
  return { status: isNew ? 201 : 200, body: renderReaction(call.world, reaction) };
};

const removeReaction = (call: Call): Answer => {
  const comment = openComment(call, saying(call));
  const id = idParam(call, 'reaction_id');
  const reaction = comment.reactions.find((one) => one.id === id);
  if (reaction === undefined) throw notFound();
  if (reaction.authorId !== actorOf(call).by.id) throw forbidden();
  comment.reactions = comment.reactions.filter((one) => one !== reaction);
  return nothing;
};

const comment = '/repos/{owner}/{repo}/issues/comments/{comment_id}';

export const commentRoutes: Routes = {
  'GET /repos/{owner}/{repo}/issues/{issue_number}/comments': listComments,
  'POST /repos/{owner}/{repo}/issues/{issue_number}/comments': postComment,
  [`GET ${comment}`]: (call) => ok(render(call, openComment(call, need('read')))),
  [`PATCH ${comment}`]: patchComment,
  [`DELETE ${comment}`]: removeComment,
  [`GET ${comment}/reactions`]: listReactions,
  [`POST ${comment}/reactions`]: postReaction,
  [`DELETE ${comment}/reactions/{reaction_id}`]: removeReaction,
};
