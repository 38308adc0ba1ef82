// What makes a daemon work: its settings for one client, builds, and fetches.
import type { StorePath } from '@eka-ci/core/ids';
import { type DaemonBuildResult, readBuildResults } from './build-results.ts';
import { type BuildTarget, formatTarget } from './build-target.ts';
import type { CallOptions } from './call-watch.ts';
import type { DaemonConnection } from './daemon-connection.ts';
import { boundQuery } from './query-operations.ts';
import { requireWhole } from './wire-writer.ts';

const ENSURE_PATH = 10;
const SET_OPTIONS = 19;
const BUILD_PATHS_WITH_RESULTS = 46;

/**
 * What this connection's operations are done with. The daemon's own configuration is *replaced* for everything that has a
 * field here, as it is for every client that sends settings; without any, it holds.
 */
export interface DaemonSettings {
  /** Goes on with other builds of a request after a failure. @default false */
  readonly keepGoing?: boolean;
  /** Leaves the folder of a failed build. @default false */
  readonly keepFailed?: boolean;
  /** Builds what cannot be fetched. @default false */
  readonly fallback?: boolean;
  /** The most talkative level that is sent as messages: 0 errors, 1 warnings, 2 notices, 3 infos, … @default 1 */
  readonly verbosity?: number;
  /** Builds at once in one request. @default 1 */
  readonly maxJobs?: number;
  /** Seconds without output after which a build is ended; 0 for none. @default 0 */
  readonly maxSilentSeconds?: number;
  /** Seconds after which a build is ended; 0 for none. @default 0 */
  readonly timeoutSeconds?: number;
  /** `NIX_BUILD_CORES`; 0 for all. @default 0 */
  readonly cores?: number;
  /** @default true */
  readonly substitute?: boolean;
  /**
   * Any other setting by its name in nix.conf. A client that is not trusted may set `timeout`, `max-silent-time`, `builders` to
   * nothing, and `substituters` to trusted ones; the rest is ignored, with a warning as a message
   * (in 2.8 one of level 6). @default builders: ''
   */
  readonly overrides?: Readonly<Record<string, string>>;
}

/** Once a connection, before its first build. */
export const setOptions = (
  connection: DaemonConnection,
  settings: DaemonSettings = {},
  options: CallOptions = {},
): Promise<void> => {
  const { maxSilentSeconds = 0, timeoutSeconds = 0 } = settings;
  return connection.call(
    {
      operation: SET_OPTIONS,
      write(writer) {
        const timeout = String(requireWhole(timeoutSeconds));
        const overrides = Object.entries({ builders: '', ...settings.overrides, timeout });
        writer
          .boolean(settings.keepFailed ?? false)
          .boolean(settings.keepGoing ?? false)
          .boolean(settings.fallback ?? false)
          .number(settings.verbosity ?? 1)
          .number(settings.maxJobs ?? 1)
          .number(maxSilentSeconds)
          .number(1) // Obsolete.
          .number(0) // The level at which builds are talkative: that of errors, so always.
          .number(0) // Obsolete.
          .number(0) // Obsolete.
          .number(settings.cores ?? 0)
          .boolean(settings.substitute ?? true)
          .number(overrides.length);
        for (const [name, value] of overrides) writer.string(name).string(value);
      },
      read: async () => {},
    },
    boundQuery(options),
  );
};

/**
 * Makes targets valid and says of each what came of it. It has no bound of time but the builds' own.
 *
 * One derivation a request: 2.8 and 2.26 refuse the *whole* request where one needs a system or feature that they do not
 * have, and without `keepGoing` what comes after a failure is not tried.
 */
export const buildPathsWithResults = (
  connection: DaemonConnection,
  targets: readonly BuildTarget[],
  options: CallOptions = {},
): Promise<DaemonBuildResult[]> => {
  const source = { ...connection.daemon, storeDir: connection.storeDir };
  return connection.call(
    {
      operation: BUILD_PATHS_WITH_RESULTS,
      write: (writer) => writer.strings(targets.map(formatTarget)).number(0),
      read: (reader) => readBuildResults(reader, source),
    },
    options,
  );
};

/** Makes a path valid by fetching it where it is not. @throws NixDaemonError NIX_DAEMON_REFUSED when nobody has it */
export const ensurePath = (
  connection: DaemonConnection,
  path: StorePath,
  options: CallOptions = {},
): Promise<void> =>
  connection.call(
    {
      operation: ENSURE_PATH,
      write: (writer) => writer.string(path),
      async read(reader) {
        await reader.number();
      },
    },
    options,
  );
