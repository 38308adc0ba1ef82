// What somebody is told who asked for something in a comment: a reaction, and words where a reaction does not say why.

import { toCode, toCodeList } from '@eka-ci/core/change-summary/escape';
import type { MergeMethod } from '@eka-ci/core/comment-command';
import type { HostedForge } from '../../forge/hosted-forge.ts';
import type { ChangePlace, Reaction } from '../../forge/hosted-talk.ts';

/** Null: nothing is said. */
export interface CommandAnswer {
  readonly outcome: 'done' | 'nothing-to-do' | 'denied' | 'refused';
  readonly reaction: Reaction | null;
  /** Markdown. */
  readonly reply: string | null;
}

export const accepted = (reply: string | null = null): CommandAnswer => ({
  ...{ outcome: 'done', reaction: 'accepted', reply },
});

/** They have not the right. */
export const denied = (why: string): CommandAnswer => ({ outcome: 'denied', reaction: 'denied', reply: why });

/** Whoever asks for it: it cannot be done now. */
export const refused = (why: string): CommandAnswer => ({
  outcome: 'refused',
  reaction: 'denied',
  reply: why,
});

export const unclear = (reply: string): CommandAnswer => ({ outcome: 'refused', reaction: 'unclear', reply });

export const silent: CommandAnswer = { outcome: 'nothing-to-do', reaction: null, reply: null };

const methodList = (methods: readonly MergeMethod[]): string =>
  methods.map((method) => `\`${method}\``).join(', ');

export const help = `What I do for a comment whose line begins with \`@eka-ci\`:

| command | who may | what it does |
|---|---|---|
| \`merge\` \`[merge, squash or rebase]\` | who may write here, or maintains every changed package | merges exactly this head once it is green |
| \`merge cancel\` | whoever asked for it, or may ask | withdraws that |
| \`approve\` \`[author]\` | who may write here | lets this head be built; with \`author\`, all that they offer |
| \`rebuild\` \`[attributes, or failed]\` | who may write here, or maintains what is named | builds again what failed |
| \`cancel\` | its author, or who may write here | stops its builds |
| \`help\` | anybody | shows this list |`;

export const mergeUnclear = (word: string): string =>
  `${toCode(word)} is no way to merge. These are: ${methodList(['merge', 'squash', 'rebase'])}; or \`cancel\`.`;

export const methodForbidden = (allowed: readonly MergeMethod[]): string =>
  allowed.length === 0
    ? 'This repository allows no way to merge that I know.'
    : `This repository does not allow that way to merge. It allows: ${methodList(allowed)}.`;

export const headMoved = (expected: string, now: string): string =>
  `The head moved: you asked for \`${expected}\`, and it is \`${now}\` by now. Look at it, and ask again.`;

export const committedAfter = (sha: string): string =>
  `\`${sha}\` was committed after your comment. Look at it, and ask again.`;

export const unknownAttributes = (attrs: readonly string[]): string =>
  `No job of this change has ${toCodeList(attrs, 10)}.`;

/** Idempotent. @throws HostedForgeFault */
export const giveAnswer = async (
  forge: HostedForge,
  {
    place,
    comment,
    answer: { reaction, reply },
  }: {
    readonly place: ChangePlace;
    /** `atMs`: when it was written, in milliseconds since 1970. */
    readonly comment: { readonly id: number; readonly atMs: number };
    readonly answer: CommandAnswer;
  },
  signal: AbortSignal,
): Promise<void> => {
  const isThere =
    reaction === null || (await forge.react(place, { commentId: comment.id, reaction }, signal));
  // Whoever took their comment back is not answered.
  if (reply === null || !isThere) return;
  const own = { key: `command:${comment.id}`, text: reply, sinceMs: comment.atMs };
  await forge.putComment(place, own, { id: null, signal });
};
