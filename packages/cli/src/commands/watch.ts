// `ekaci watch`: what the server does, as it does it; or what becomes of one change.
import { Change, ChangeDetail } from '@eka-ci/protocol/change';
import type { LiveEvent, Resource } from '@eka-ci/protocol/live';
import { Review } from '@eka-ci/protocol/submission';
import type { Command } from 'commander';
import { changePath, repositoryName, reviewId, wholeNumber } from '../arguments.ts';
import type { Client } from '../client/client.ts';
import { createJsonView, createLineView, type EventView } from '../live/event-view.ts';
import { type EventFollower, type FollowStep, followEvents } from '../live/follow-events.ts';
import { untilEnded } from '../live/until-ended.ts';
import { chosenEndpoint, type ServerCommandOptions, serverCommand, withServer } from '../server-command.ts';
import { runWatch } from '../watch/run-watch.ts';

type Subject =
  | { readonly kind: 'change'; readonly repository: string; readonly number: number }
  | { readonly kind: 'review'; readonly id: string };

const openStates: readonly Change['state'][] = ['queued', 'judging'];

const parseSubject = (what: string | undefined, number: number | undefined): Subject | null => {
  if (what === undefined) return null;
  if (number === undefined) return { kind: 'review', id: reviewId(what) };
  return { kind: 'change', repository: repositoryName(what), number };
};

const findChange = ({ get }: Client, subject: Subject): Promise<ChangeDetail> =>
  subject.kind === 'change'
    ? get(changePath(subject.repository, subject.number), ChangeDetail)
    : get(`/v1/reviews/${subject.id}`, Review);

interface Watched {
  readonly resource: Resource;
  readonly follower: EventFollower;
}

const everything = (view: EventView): Watched => ({
  resource: { resource: 'allbuilds' },
  follower: {
    onSubscribed: async () => 'go-on',
    onEvent: async (event) => {
      await view.show(event);
      return 'go-on';
    },
    onLost: view.onLost,
  },
});

/** Ends when the change is settled; one that is so already is shown once. */
const oneChange = (
  client: Client,
  subject: Subject,
  { view, id }: { view: EventView; id: string },
): Watched => {
  const take = async (change: Change): Promise<FollowStep> => {
    await view.show({ type: 'change_update', change });
    // Another head has its number by now.
    return change.id === id && openStates.includes(change.state) ? 'go-on' : 'end';
  };
  const look = async (): Promise<FollowStep> => take(Change.parse(await findChange(client, subject)));
  const onEvent = async (event: LiveEvent): Promise<FollowStep> => {
    if (event.type === 'change_update') return take(event.change);
    await view.show(event);
    // Its end may be among what was left out.
    return event.type === 'skipped' ? look() : 'go-on';
  };
  return {
    resource: { resource: 'change', id },
    follower: { onSubscribed: look, onEvent, onLost: view.onLost },
  };
};

const canDraw = (): boolean => process.stdout.isTTY === true && process.env['TERM'] !== 'dumb';

const watch = (
  what: string | undefined,
  number: number | undefined,
  options: ServerCommandOptions,
): Promise<void> =>
  withServer(options, async (client) => {
    const subject = parseSubject(what, number);
    const id = subject === null ? null : (await findChange(client, subject)).id;
    const endpoint = await chosenEndpoint(options);
    if (subject === null && options.json === undefined && canDraw()) return runWatch(endpoint);
    const view = options.json ? createJsonView() : createLineView();
    const wish = untilEnded();
    try {
      const { resource, follower } =
        subject === null || id === null ? everything(view) : oneChange(client, subject, { view, id });
      await followEvents({ endpoint, resource, signal: wish.signal }, follower);
    } finally {
      wish.release();
    }
  });

export const watchCommand = (): Command =>
  serverCommand('watch', {
    summary: 'show what the server does while it does it',
    examples: [
      'ekaci watch                      on a terminal all of it, live: builders, builds, queue, changes; ? for keys',
      'ekaci watch | tee ci.log         in a pipe what happens, one line each',
      'ekaci watch me/packages 12       one change, until it is judged',
      'ekaci watch --json               one event a line',
    ],
    statuses: [
      'it was watched to its end, or until q or Ctrl-C',
      'the server said no: there is no such change',
    ],
  })
    .argument('[change]', 'the name of a repository (OWNER/REPO, or HOST/OWNER/REPO), or the id of a review')
    .argument('[number]', 'the number of its change', wholeNumber(1))
    .action(watch);
