// Following a review on a server that answers what the story wants: the verdict is never lost, nothing hangs.
import { access, mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LiveEvent } from '@eka-ci/protocol/live';
import type { ReviewEvent } from '@eka-ci/protocol/review';
import type { Review } from '@eka-ci/protocol/submission';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { createClient } from '../client/client.ts';
import type { Endpoint } from '../client/find-server.ts';
import { openLive } from '../client/live.ts';
import { type FollowReviewDeps, followReview } from './follow-review.ts';

const id = '7c9e6679-7425-40de-944b-e07fc1f90ae7';

const reviewIn = (state: Review['state'], more: Partial<Review> = {}): Review => ({
  id,
  kind: 'submitted',
  repository: '/r',
  number: 1,
  branch: 'HEAD',
  baseBranch: null,
  title: 'HEAD',
  state,
  baseSha: null,
  headSha: 'a'.repeat(40),
  judgedTree: null,
  conclusion: null,
  fault: null,
  retryAtMs: null,
  approved: false,
  createdAtMs: 1,
  updatedAtMs: 2,
  summary: null,
  markdown: null,
  ...more,
});

const subscribed: LiveEvent = { type: 'subscribed', to: { resource: 'change', id } };

/** A server with one review, which the story moves on. */
interface StoryServer {
  review: Review;
  /** False: it hangs up. */
  answers: boolean;
  /** False: a subscription is not answered. */
  subscribes: boolean;
  readonly asked: string[];
  readonly live: Set<WebSocket>;
  tell(event: LiveEvent): void;
  close(): Promise<void>;
}

const serveStory = async (socketPath: string, isLive: boolean): Promise<StoryServer> => {
  const server: Server = createServer((request, response) => {
    if (!story.answers) return void request.socket.destroy();
    story.asked.push(`${request.method} ${request.url}`);
    request.resume().once('end', () => {
      response.writeHead(request.method === 'POST' ? 202 : 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(story.review));
    });
  });
  const sockets = new WebSocketServer({ noServer: true });
  server.on('upgrade', (request, socket, head) => {
    if (!isLive) return void socket.end('HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n');
    sockets.handleUpgrade(request, socket, head, (connection) => {
      story.live.add(connection);
      connection.on('message', (data: Buffer) => {
        story.asked.push(`live ${data.toString()}`);
        if (story.subscribes) story.tell(subscribed);
      });
    });
  });
  const story: StoryServer = {
    review: reviewIn('queued'),
    answers: true,
    subscribes: true,
    asked: [],
    live: new Set(),
    tell: (event) => {
      for (const one of story.live) one.send(JSON.stringify(event));
    },
    close: async () => {
      for (const one of story.live) one.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  return story;
};

let folder: string;
let server: StoryServer;
let seen: ReviewEvent[];
let submitted: number;
let cancel: AbortController;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'follow-'));
  seen = [];
  submitted = 0;
  cancel = new AbortController();
});
afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

const follow = (more: Partial<FollowReviewDeps> = {}): Promise<Review> => {
  const endpoint: Endpoint = { kind: 'socket', path: join(folder, 'socket') };
  return followReview(
    {
      client: createClient(endpoint),
      openLive: () => openLive(endpoint),
      onEvent: (event) => void seen.push(event),
      onSubmitted: () => void submitted++,
      patienceMs: 20_000,
      onRetry: 'wait',
      ...more,
    },
    {
      id,
      source: { kind: 'local', path: '/r' },
      base: { kind: 'nothing' },
      head: 'HEAD',
      merge: false,
      jobs: [],
      file: null,
      build: true,
      sandbox: 'required',
    },
    cancel.signal,
  );
};

const start = async (isLive: boolean): Promise<void> => {
  server = await serveStory(join(folder, 'socket'), isLive);
};

const notice = (message: string): ReviewEvent => ({ type: 'notice', level: 'info', message });
const { summary: _summary, markdown: _markdown, ...change } = reviewIn('judged');
const isSubmitted = async (): Promise<void> => {
  await expect.poll(() => submitted).toBe(1);
};

// Sooner than it asks by itself while it hears news.
describe('following a review', { timeout: 8000 }, () => {
  it('listens before it submits, shows what happens, and asks at the end', async () => {
    await start(true);
    server.subscribes = false;
    const followed = follow();
    const subscription = `live ${JSON.stringify({ type: 'subscribe', resource: 'change', id })}`;
    await expect.poll(() => server.asked).toEqual([subscription]);
    // Whatever was sent before this has come before this.
    await createClient({ kind: 'socket', path: join(folder, 'socket') }).getText('/other');
    expect(server.asked.splice(0)).toEqual([subscription, 'GET /other']);
    server.tell(subscribed);
    await isSubmitted();
    expect(server.asked.splice(0)).toEqual(['POST /v1/reviews']);
    server.tell({ type: 'change_progress', changeId: id, event: notice('mine') });
    server.tell({ type: 'change_progress', changeId: 'other', event: notice('not mine') });
    server.review = reviewIn('judged', { markdown: '# Done' });
    server.tell({ type: 'change_update', change });
    expect(await followed).toMatchObject({ state: 'judged', markdown: '# Done' });
    expect(seen).toEqual([notice('mine')]);
    expect(server.asked).toEqual([`GET /v1/reviews/${id}`]);
  });

  it('asks again and again where the server has no live connections', async () => {
    await start(false);
    const followed = follow();
    await isSubmitted();
    server.review = reviewIn('failed', { fault: 'MERGE_CONFLICT: no' });
    expect(await followed).toMatchObject({ fault: 'MERGE_CONFLICT: no' });
  });

  it('asks where it is told that it missed something', async () => {
    await start(true);
    const followed = follow();
    await isSubmitted();
    server.review = reviewIn('judged');
    server.tell({ type: 'skipped', events: 3 });
    expect((await followed).state).toBe('judged');
  });

  it('outlives a server that is gone for a while', async () => {
    await start(true);
    const followed = follow();
    await isSubmitted();
    await server.close();
    await expect(access(join(folder, 'socket'))).rejects.toThrow('ENOENT');
    await start(false);
    server.review = reviewIn('judged');
    expect((await followed).state).toBe('judged');
    expect(server.asked).toEqual([`GET /v1/reviews/${id}`]);
  });

  it('has no more patience than it is given', async () => {
    await start(true);
    const followed = follow({ patienceMs: 1 });
    followed.catch(() => {});
    await isSubmitted();
    server.answers = false;
    for (const one of server.live) one.terminate();
    await expect(followed).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' });
  });

  it('takes a fault that is tried again for the end, or waits and says so once', async () => {
    await start(true);
    const retried = { fault: 'GIT_TIMEOUT: slow', retryAtMs: 60_000 };
    server.review = reviewIn('queued', retried);
    expect(await follow({ onRetry: 'end' })).toMatchObject(retried);
    submitted = 0;
    const followed = follow();
    await isSubmitted();
    server.tell({ type: 'skipped', events: 1 });
    await expect.poll(() => server.asked.filter((one) => one.startsWith('GET')).length).toBe(1);
    server.review = reviewIn('judged');
    server.tell({ type: 'change_update', change });
    expect((await followed).state).toBe('judged');
    const [told, ...others] = seen;
    expect([told, others]).toMatchObject([{ type: 'notice', level: 'warning' }, []]);
    expect(told?.type === 'notice' && told.message).toMatch(/GIT_TIMEOUT: slow.*1970-01-01T00:01:00/);
  });

  it('ends with the signal, also while nothing is answered', async () => {
    await start(true);
    const followed = follow();
    followed.catch(() => {});
    await isSubmitted();
    cancel.abort(new Error('enough'));
    await expect(followed).rejects.toThrow('enough');
    expect(server.live.size).toBe(1);
    await expect.poll(() => [...server.live].every(({ readyState }) => readyState === 3)).toBe(true);
  });
});
