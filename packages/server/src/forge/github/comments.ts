// Answers to people: a reaction to their comment, and a comment of ours, made once and edited in place.
import { z } from 'zod';
import type { OwnComment, Reaction } from '../hosted-talk.ts';
import { apiPath, withQuery } from './api-path.ts';
import type { ChangeName } from './changes.ts';
import { cutMarkdown } from './cut-markdown.ts';
import type { GithubClient } from './github-client.ts';
import { GithubError, isGithubError } from './github-error.ts';
import { Id } from './github-schema.ts';
import { perPage, readPages } from './pages.ts';

const contents: Readonly<Record<Reaction, string>> = {
  accepted: '+1',
  denied: '-1',
  merged: 'rocket',
  withdrawn: 'confused',
  unclear: 'confused',
};

/** Idempotent. @throws GithubError GITHUB_NOT_FOUND where the comment is deleted */
export const react = async (
  client: GithubClient,
  to: { readonly repository: string; readonly commentId: number; readonly reaction: Reaction },
  signal?: AbortSignal,
): Promise<void> => {
  await client.call(
    {
      operation: 'reactions.create',
      method: 'POST',
      path: apiPath('repos', to.repository, 'issues', 'comments', to.commentId, 'reactions'),
      body: { content: contents[to.reaction] },
      schema: z.unknown(),
      creates: true,
      // GitHub answers 200 to one that is there.
      repeat: 'always',
    },
    signal,
  );
};

/** GitHub takes 65,536 characters. */
const mostTextBytes = 65_000;

export interface PlacedComment extends ChangeName, OwnComment {}

const markerOf = (key: string): string => {
  if (!/^[\w.:-]{1,200}$/.test(key)) {
    throw new GithubError(
      'GITHUB_NAME_INVALID',
      `${JSON.stringify(key)} cannot mark a comment: use letters, digits and "_.:-"`,
    );
  }
  return `<!-- ekaci:${key} -->`;
};

/** The marker stands first: what is cut, and what the text leaves open, comes after it. */
const bodyOf = ({ key, text }: PlacedComment): string =>
  `${markerOf(key)}\n${cutMarkdown(text, mostTextBytes, '_Cut here, for size._')}`;

const Comment = z.object({
  id: Id,
  body: z.string().nullish(),
  performed_via_github_app: z.object({ id: Id }).nullish(),
});

export interface CommentTarget {
  readonly client: GithubClient;
  /** GitHub's number of our app: anybody can write our marker. */
  readonly appId: number;
}

const findOwn = async (
  { client, appId }: CommentTarget,
  comment: PlacedComment,
  signal: AbortSignal | undefined,
): Promise<number | null> => {
  const { repository, number, sinceMs } = comment;
  const since = new Date(sinceMs).toISOString();
  const isOurs = (one: z.output<typeof Comment>): boolean =>
    one.performed_via_github_app?.id === appId && (one.body ?? '').startsWith(markerOf(comment.key));
  const { items } = await readPages(
    client,
    {
      operation: 'comments.list',
      method: 'GET',
      path: withQuery(apiPath('repos', repository, 'issues', number, 'comments'), {
        since,
        per_page: perPage,
      }),
      schema: z.array(Comment),
    },
    { mostPages: 50, isEnough: (page) => page.some(isOurs), signal },
  );
  return items.find(isOurs)?.id ?? null;
};

const write = async (
  { client }: CommentTarget,
  { comment, id }: { readonly comment: PlacedComment; readonly id: number | null },
  signal: AbortSignal | undefined,
): Promise<number> => {
  const { repository, number } = comment;
  const isNew = id === null;
  const written = await client.call(
    {
      operation: isNew ? 'comments.create' : 'comments.update',
      method: isNew ? 'POST' : 'PATCH',
      path: isNew
        ? apiPath('repos', repository, 'issues', number, 'comments')
        : apiPath('repos', repository, 'issues', 'comments', id),
      body: { body: bodyOf(comment) },
      schema: Comment,
      creates: isNew,
    },
    signal,
  );
  return written.id;
};

const mostTries = 3;

/**
 * Idempotent: however often it is asked, and whatever answer is lost, there is one comment of this key, with this text.
 * @param knownId of an earlier time; null where it is not known: then it is looked for
 * @returns GitHub's id of it
 */
export const putComment = async (
  target: CommentTarget,
  {
    comment,
    knownId,
    signal,
  }: {
    readonly comment: PlacedComment;
    readonly knownId: number | null;
    readonly signal?: AbortSignal;
  },
): Promise<number> => {
  let id = knownId;
  for (let tries = 1; ; tries++) {
    try {
      id ??= await findOwn(target, comment, signal);
      return await write(target, { comment, id }, signal);
    } catch (error) {
      // Where the change itself is gone, the next try says so, too.
      const isGone = id !== null && isGithubError(error, 'GITHUB_NOT_FOUND');
      const isLost = error instanceof GithubError && error.isMaybeDone;
      if (tries === mostTries || !(isGone || isLost)) throw error;
      if (isGone) id = null;
    }
  }
};
