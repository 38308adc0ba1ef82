// What whoever asked for a merge is told of its end. Texts from outside are shown as code.

import { toCode, toCodeBlock } from '@eka-ci/core/change-summary/escape';
import type { MergeMethod } from '@eka-ci/core/comment-command';
import type { CommitSha } from '@eka-ci/core/ids';
import type { MergeTelling } from '../../database/database.ts';

const telling = (reaction: MergeTelling['reaction'], reply: string | null): MergeTelling => ({
  reaction,
  reply,
});

/** Enough for what a forge says; what is longer is no help. */
const mostLines = 20;

const shown = (says: string): string => toCodeBlock(says.split(/\r?\n/).slice(0, mostLines));

export const silent = telling(null, null);

export const mergedTelling = telling('merged', null);

export const movedTelling = (expected: CommitSha, now: CommitSha): MergeTelling =>
  telling(
    'withdrawn',
    `Not merged: the head moved. The merge was asked for \`${expected}\`, and the head is \`${now}\` now. ` +
      'Look at it, and ask again.',
  );

export const retargetedTelling = (expected: string, now: string): MergeTelling =>
  telling(
    'withdrawn',
    `Not merged: it was asked for into ${toCode(expected)}, and this wants to join ${toCode(now)} now. ` +
      'Look at it, and ask again.',
  );

/** It was in the queue, is not any more, and was not merged. */
export const droppedTelling = (baseBranch: string): MergeTelling =>
  telling(
    'withdrawn',
    `Not merged: the merge queue of ${toCode(baseBranch)} took it out. Look there why, and ask again once that is mended.`,
  );

export const refusedTelling = (says: string): MergeTelling =>
  telling('denied', `Not merged: the forge does not let me. It says:\n\n${shown(says)}`);

export const methodTelling = (method: MergeMethod, allowed: readonly MergeMethod[]): MergeTelling => {
  const list = allowed.map((one) => `\`${one}\``).join(', ');
  return telling(
    'denied',
    `Not merged: this repository does not allow \`${method}\`. ` +
      (list === ''
        ? 'It allows no way to merge that I know.'
        : `It allows: ${list}. Ask again with one of these.`),
  );
};

export const faultTelling = (fault: string): MergeTelling =>
  telling('denied', `Not merged: I could not ask the forge to.\n\n${shown(fault)}`);
