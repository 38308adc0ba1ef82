// The server's side of the benchmark `logs`: a build that says all of a file, its log on disk, told live over WebSockets and
// compressed at the end. Arguments: the file, how many subscriptions there are before it begins, or nothing for none.
import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import type { Builder } from '@eka-ci/server/builder/builder';
import { step } from '@eka-ci/server/database/testing/samples';
import { createHttpApp } from '@eka-ci/server/http/app';
import { listen } from '@eka-ci/server/http/listen';
import { createLiveConnections } from '@eka-ci/server/http/live/live-connections';
import { serve } from '@eka-ci/server/http/testing/served';
import { createSecretMask } from '@eka-ci/server/lib/secret-mask';
import { openStoredLog } from '@eka-ci/server/lib/stored-log';
import { createLogCompression } from '@eka-ci/server/pipeline/builds/log-compression';
import { logFileOf, runAttempt } from '@eka-ci/server/pipeline/builds/run-attempt';
import { createLiveFeed } from '@eka-ci/server/pipeline/live/live-feed';
import type { LoggedBuild } from './logs.ts';

const [input = '', wantedSubscriptions = '0'] = process.argv.slice(2);
const mib = 1024 * 1024;

/** Resident memory, at most, while the first half of the log is said, and the second. */
const resident = [0, 0];
const sample = (half: number): void => {
  resident[half] = Math.max(resident[half] ?? 0, process.memoryUsage.rss());
};

/** Speaks as fast as it is heard. */
const loudBuilder: Builder = {
  name: 'loud',
  systems: [],
  features: [],
  async build(_request, observer) {
    const { size } = await stat(input);
    let [begun, said] = ['', 0];
    for await (const chunk of createReadStream(input)) {
      const lines = (begun + (chunk as Buffer).toString('utf8')).split('\n');
      begun = lines.pop() ?? '';
      for (const line of lines) observer.log(line);
      const pressure = observer.pressure?.() ?? null;
      if (pressure !== null) await pressure;
      const before = Math.floor((said / size) * 100);
      said += (chunk as Buffer).length;
      if (Math.floor((said / size) * 100) > before) sample(said < size / 2 ? 0 : 1);
    }
    return { kind: 'built', durationMs: 1 };
  },
};

const feed = createLiveFeed();
const live = createLiveConnections({ feed, storeDir: '/nix/store', limits: { maxPerAddress: 1000 } });
const served = await serve({ live });
const app = await createHttpApp(served.deps);
const listening = await listen(
  app,
  { tcp: { address: '127.0.0.1', port: 0 }, socket: null, closeTimeoutMs: 1000 },
  live,
);
const drv = served.failed;
const attempt = 3;
const compression = createLogCompression({
  folder: served.logsDir,
  onEvent: (event) => {
    if (event.kind === 'fault') throw event.error;
  },
});

const build = async (): Promise<LoggedBuild> => {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const residentBefore = process.memoryUsage.rss();
  delay.enable();
  const startedAt = performance.now();
  const logFile = logFileOf(drv, attempt);
  await runAttempt(
    {
      builder: loudBuilder,
      limits: { silenceTimeoutMs: 1e9, maxDurationMs: 1e9, maxLogBytes: 1e12 },
      logs: {
        folder: served.logsDir,
        maxBytes: 1024 * mib,
        feed: feed.logs,
        mask: createSecretMask(['one-of-the-secrets', 'another-that-nobody-prints', 'a third: 0123456789']),
        compression,
      },
      onEvent: () => {},
    },
    { drv, attempt, logFile, signal: new AbortController().signal },
  );
  const written = performance.now();
  feed.recorded([{ ...step(drv, 'building', 'succeeded', { attempt }), sequence: 1 }]);
  await compression.idle();
  const compressed = performance.now();
  delay.disable();
  const path = join(served.logsDir, logFile);
  const { size: storedBytes } = await stat(`${path}.zst`);
  const log = await openStoredLog(async (suffix) => (suffix === '' ? null : open(path + suffix)));
  await log?.close();
  return {
    writeMs: written - startedAt,
    compressMs: compressed - written,
    delayMs: delay.percentile(99) / 1e6,
    grownMib: (Math.max(...resident) - residentBefore) / mib,
    secondHalf: (resident[1] ?? 0) / (resident[0] ?? 1),
    logBytes: log?.sizeBytes ?? 0,
    storedBytes,
    ...live.counts(),
  };
};

const say = (message: unknown): void => void process.stdout.write(`${JSON.stringify(message)}\n`);

say({ port: listening.tcp?.port, drv });
for await (const line of createInterface({ input: process.stdin })) {
  if (line !== 'go') continue;
  while (live.counts().subscriptions < Number(wantedSubscriptions))
    await new Promise((next) => setImmediate(next));
  say(await build());
}
await listening.close();
await served.close();
