// Following a log against a server that does everything a server may do at a bad moment.
import type { Derivation } from '@eka-ci/protocol/derivation';
import type { LiveEvent } from '@eka-ci/protocol/live';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Client } from '../client/client.ts';
import { ClientError } from '../client/client-error.ts';
import { type FollowedLine, LogFollower } from './log-follower.ts';

type Attempt = Derivation['attempts'][number];
const drv = '0c5b8vw40dy178xlpddw65q9gf1h2186-hello-1.0.drv';
const refuse = (code: string): never => {
  throw new ClientError('SERVER_REFUSED', `${code}: no`);
};

/** A server with one build: what it would answer now, and what it tells meanwhile. */
class BuildServer {
  readonly attempts: Attempt[] = [];
  readonly logs = new Map<number, string[]>();
  readonly told: LiveEvent[] = [];
  draining = false;
  /** The beginning of a line that is on its way to the disk. */
  readonly #halfLine = 'ha';
  #skipped = 0;

  readonly client: Client = {
    address: 'test',
    get: (path, schema) => {
      const parsed = schema.safeParse(path === '/v1/status' ? this.#status() : this.#derivation());
      return parsed.success ? Promise.resolve(parsed.data) : Promise.reject(new Error(String(parsed.error)));
    },
    streamFrom: (path, fromByte) => this.#stream(path, fromByte),
    post: () => refuse('NOT_ASKED'),
    delete: () => refuse('NOT_ASKED'),
    getText: () => refuse('NOT_ASKED'),
    stream: () => refuse('NOT_ASKED'),
    download: () => refuse('NOT_ASKED'),
  };

  get newest(): Attempt | undefined {
    return this.attempts.at(-1);
  }

  /** @param reaches false: the reader is too slow for it */
  tell(event: LiveEvent, reaches: boolean): void {
    if (!reaches) {
      this.#skipped += 1;
      return;
    }
    this.catchUp();
    this.told.push(event);
  }

  /** The reader is not too slow any more. */
  catchUp(): void {
    if (this.#skipped > 0) this.told.push({ type: 'skipped', events: this.#skipped });
    this.#skipped = 0;
  }

  /** The connection is gone with all that was under way. */
  lose(): void {
    this.told.length = 0;
    this.#skipped = 0;
  }

  move(state: Attempt['state'], cause: Attempt['cause'], reaches: boolean): void {
    const before = this.newest;
    const isNew = before === undefined || (state === 'queued' && before.state !== 'queued');
    const attempt = isNew ? (before?.attempt ?? 0) + 1 : before.attempt;
    const logPath =
      state === 'building' || this.logs.has(attempt) ? `/v1/logs/${drv}?attempt=${attempt}` : null;
    const times = { startedAtMs: null, finishedAtMs: null, culprit: null, message: null };
    if (!isNew) this.attempts.pop();
    this.attempts.push({ attempt, state, cause, ...times, logPath });
    this.tell(
      {
        type: 'build_state_change',
        drvPath: `/nix/store/${drv}`,
        attempt,
        from: before?.state ?? null,
        to: state,
        cause,
        message: null,
        atMs: 0,
      },
      reaches,
    );
  }

  say(text: string, reaches: boolean): void {
    const attempt = this.newest?.attempt ?? 0;
    const log = this.logs.get(attempt) ?? [];
    this.logs.set(attempt, log);
    log.push(text);
    const cut = text.length > 5;
    const shown = text.slice(0, 5);
    this.tell(
      { type: 'log_line', drvPath: `/nix/store/${drv}`, attempt, line: log.length, text: shown, cut },
      reaches,
    );
  }

  async *#stream(path: string, fromByte: number): AsyncGenerator<Buffer> {
    const attempt = Number(/attempt=(\d+)/.exec(path)?.[1]);
    const log = this.logs.get(attempt) ?? refuse('LOG_NOT_FOUND');
    const bytes = Buffer.from(log.map((line) => `${line}\n`).join(''));
    // In pieces that end anywhere, the last of them maybe within a line.
    const isOver = this.newest?.attempt !== attempt || this.newest.state === 'succeeded';
    const end = bytes.length + (isOver ? 0 : Buffer.byteLength(this.#halfLine));
    const all = Buffer.concat([bytes, Buffer.from(this.#halfLine)]).subarray(0, end);
    for (let at = fromByte; at < end; at += 3) yield all.subarray(at, at + 3);
  }

  #derivation(): unknown {
    return {
      drvPath: `/nix/store/${drv}`,
      name: 'hello-1.0',
      system: 'x86_64-linux',
      fixedOutput: false,
      preferLocalBuild: false,
      allowSubstitutes: true,
      requiredFeatures: [],
      outputs: [],
      dependencies: 0,
      state: this.newest?.state ?? null,
      why: null,
      attempts: this.attempts,
    };
  }

  #status(): unknown {
    return { draining: this.draining };
  }
}

const start = (server: BuildServer, wanted: number | null = null) => {
  const lines: FollowedLine[] = [];
  const notes: string[] = [];
  const follower = new LogFollower({
    client: server.client,
    drv,
    wanted,
    view: {
      line: async (line) => void lines.push(line),
      note: (text) => void notes.push(text),
    },
  });
  return { follower, lines, notes };
};

const hear = async (server: BuildServer, follower: LogFollower, most = Number.POSITIVE_INFINITY) => {
  for (let count = 0; count < most; count++) {
    const event = server.told.shift();
    if (event === undefined) return 'go-on';
    if ((await follower.onEvent(event)) === 'end') return 'end';
  }
  return 'go-on';
};

const linesOf = (server: BuildServer): FollowedLine[] =>
  [...server.logs].flatMap(([attempt, log]) =>
    log.map((text, index) => ({ attempt, line: index + 1, text })),
  );

const build = (server: BuildServer): void => {
  for (const state of ['queued', 'buildable', 'building'] as const) server.move(state, null, true);
};

describe('following a log', () => {
  const action = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('say' as const),
        reaches: fc.boolean(),
        text: fc.string({ maxLength: 8, unit: 'grapheme' }),
      }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('hear' as const), most: fc.nat(5) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constantFrom('lose' as const, 'catch-up' as const, 'restart' as const, 'retry' as const),
      }),
    },
  );

  it('shows each line of each attempt once and in order, whatever is skipped, lost or tried again', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 60 }), fc.nat(20), async (actions, before) => {
        const server = new BuildServer();
        const { follower, lines } = start(server);
        build(server);
        for (let line = 0; line < before; line++) server.say(`early ${line}`, false);
        server.lose();
        expect(await follower.onSubscribed()).toBe('go-on');
        for (const one of actions) {
          if (one.kind === 'say') server.say(one.text.replaceAll('\n', ''), one.reaches);
          else if (one.kind === 'hear') expect(await hear(server, follower, one.most)).toBe('go-on');
          else if (one.kind === 'catch-up') server.catchUp();
          else if (one.kind === 'retry') {
            server.move('interrupted', 'network', true);
            server.move('queued', null, true);
            server.move('building', null, true);
          } else {
            server.lose();
            follower.onLost();
            if (one.kind === 'restart') {
              server.move('interrupted', 'scheduler-death', false);
              server.lose();
              expect(await follower.onSubscribed()).toBe('go-on');
              build(server);
            } else expect(await follower.onSubscribed()).toBe('go-on');
          }
        }
        server.move('succeeded', 'built', true);
        expect(await hear(server, follower)).toBe('end');
        expect(lines).toEqual(linesOf(server));
        expect(follower.end?.state).toBe('succeeded');
      }),
      { numRuns: 300 },
    );
  });

  it('says how many lines nobody can show any more', async () => {
    const server = new BuildServer();
    const { follower, lines, notes } = start(server);
    build(server);
    server.say('kept', true);
    server.lose();
    await follower.onSubscribed();
    // Beyond its bound the log has no more lines until it is closed.
    const said = { type: 'log_line' as const, drvPath: drv, attempt: 1, text: 'tail', cut: false };
    server.told.push({ ...said, line: 100 }, { ...said, line: 101 });
    expect(await hear(server, follower)).toBe('go-on');
    expect(lines.map(({ line }) => line)).toEqual([1, 100, 101]);
    expect(notes).toEqual(['98 lines are left out here: the log is longer than what the server keeps']);
  });

  it('ends with a build that is over, and waits for one that only the server stopped', async () => {
    const over = new BuildServer();
    build(over);
    over.move('interrupted', 'cancelled', true);
    const first = start(over);
    expect([await first.follower.onSubscribed(), first.follower.end]).toEqual(['end', null]);

    for (const draining of [true, false]) {
      const server = new BuildServer();
      const { follower } = start(server);
      build(server);
      await follower.onSubscribed();
      server.draining = draining;
      server.move('interrupted', 'cancelled', true);
      expect(await hear(server, follower)).toBe(draining ? 'go-on' : 'end');
    }
    const none = start(new BuildServer());
    expect([await none.follower.onSubscribed(), none.notes]).toEqual([
      'go-on',
      ['nothing builds it so far: waiting'],
    ]);
  });

  it('keeps to the attempt that is wanted', async () => {
    const server = new BuildServer();
    build(server);
    const { follower, lines } = start(server, 1);
    await follower.onSubscribed();
    server.say('one', true);
    server.move('interrupted', 'network', true);
    expect(await hear(server, follower)).toBe('end');
    expect(lines).toEqual([{ attempt: 1, line: 1, text: 'one' }]);
    const missing = start(server, 7).follower.onSubscribed();
    await expect(missing).rejects.toThrow('ATTEMPT_NOT_FOUND: there is no attempt 7');
  });
});
