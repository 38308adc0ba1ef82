// A server that starts anew whenever its sources are saved. Database and store stay, and what it is given to judge.
import { relative } from 'node:path';
import { startChild } from '@eka-ci/process';
import { createDemoStore } from '../demo/private-store.ts';
import { addressOf, serverProgram, serviceEnvironment } from '../demo/service.ts';
import { type DevSite, type OpenDevSite, openGitSite } from './dev-site.ts';
import { keepServerRunning, type ServerEvent } from './restarting-server.ts';
import { watchSources } from './watch-sources.ts';

export interface DevServerOptions {
  /** Empty, and the caller's to remove. */
  readonly folder: string;
  /** Watched with all below them. */
  readonly sources: readonly string[];
  /** @default the server's own */
  readonly program?: string;
  /** @default the demo's repository by itself */
  readonly openSite?: OpenDevSite;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

const namesOf = (files: readonly string[]): string => {
  const names = files.map((file) => relative(process.cwd(), file));
  return names.length > 3 ? `${names.length} files` : names.join(', ');
};

/** A server that has to be killed to end is no reason to wait longer. */
const endGraceMs = 10_000;

/** Says the address once, and keeps its port for the next server: a browser's page stays good. */
const createTelling = (say: DevServerOptions['say'], hints: readonly string[]) => {
  let port = 0;
  return {
    port: () => port,
    tell(event: ServerEvent): void {
      if (event.kind === 'ended') {
        const { signal, code } = event.exit;
        return say(`It ended (${signal ?? `status ${code}`}). It starts again when you save.`);
      }
      const { address, tookMs } = event;
      if (port !== 0) return say(`It is back after ${Math.round(tookMs)} ms.`);
      port = Number(new URL(address).port);
      say(`The server is at ${address}, and starts anew when a source is saved. Ctrl-C ends it.`);
      for (const hint of hints) say(hint);
    },
  };
};

/** Resolves when the signal has aborted and all has ended. @throws Error when what it judges cannot be made */
export const runDevServer = async (options: DevServerOptions): Promise<void> => {
  const store = await createDemoStore(options.folder);
  const site = await (options.openSite ?? openGitSite)(options.folder);
  try {
    await keepServing(options, site, { ...serviceEnvironment(), ...store, ...site.env });
  } finally {
    await site.stop();
  }
};

const keepServing = async (
  { program = serverProgram, sources, say, signal }: DevServerOptions,
  site: DevSite,
  env: Record<string, string>,
): Promise<void> => {
  const telling = createTelling(say, site.hints);
  const server = keepServerRunning({
    addressOf,
    onEvent: (event) => telling.tell(event),
    start: async () => {
      const file = await site.configure(telling.port());
      const args = [program, '--config-file', file];
      const child = await startChild({ command: process.execPath, args, env, killGraceMs: endGraceMs });
      child.stderr.pipe(process.stderr, { end: false });
      return child;
    },
  });
  watchSources(
    sources,
    (files) => {
      say(`${namesOf(files)} changed.`);
      server.restart();
    },
    signal,
  );
  if (!signal.aborted)
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  await server.stop();
};
