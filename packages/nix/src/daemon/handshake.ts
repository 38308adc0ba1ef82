// The greeting: which version of the protocol both speak, which of its features, and what the daemon says of itself.
import { NixDaemonError, protocolError } from './daemon-error.ts';
import type { WireReader } from './wire-reader.ts';
import { WireWriter } from './wire-writer.ts';

/** `trusted`: may change any setting and add unsigned paths. `unknown`: the daemon does not say (before protocol 1.35). */
export type DaemonTrust = 'trusted' | 'not-trusted' | 'unknown';

export interface DaemonGreeting {
  /** Of protocol 1: the lower one of both sides, 34 to 38. */
  readonly minor: number;
  /** Understood by both sides. */
  readonly features: ReadonlySet<string>;
  /** As the daemon prints it: `2.34.8`. */
  readonly nixVersion: string;
  readonly trust: DaemonTrust;
}

const CLIENT_MAGIC = 0x6e697863;
const DAEMON_MAGIC = 0x6478696f;
const MAJOR = 1;
/** Nix 2.8: the first that tells the result of each build. */
const MINIMUM_MINOR = 34;
/** The last number there is: since Nix 2.26 what is new is a feature. */
const MAXIMUM_MINOR = 38;

/** Outputs of a build are then told as store paths instead of as JSON keyed by hashes. */
export const REALISATION_WITH_PATH = 'realisation-with-path-not-hash';
const ourFeatures = [REALISATION_WITH_PATH];

const maxNameBytes = 1024;
const maxFeatures = 1000;

const readTrust = async (reader: WireReader): Promise<DaemonTrust> => {
  const told = await reader.number();
  if (told > 2) throw protocolError(`a trust of ${told}`);
  return told === 0 ? 'unknown' : told === 1 ? 'trusted' : 'not-trusted';
};

const agreeOnMinor = async (reader: WireReader): Promise<number> => {
  const magic = await reader.bigint();
  if (magic !== BigInt(DAEMON_MAGIC)) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(magic);
    throw protocolError(`it greets with ${JSON.stringify(bytes.toString('latin1'))}`);
  }
  const version = await reader.number();
  const [major, minor] = [version >>> 8, version & 0xff];
  if (major > MAJOR) throw protocolError(`version ${major}.${minor}, of which nothing is known`);
  if (major < MAJOR || minor < MINIMUM_MINOR) {
    throw new NixDaemonError(
      'NIX_DAEMON_TOO_OLD',
      `the Nix daemon speaks protocol ${major}.${minor}; at least ${MAJOR}.${MINIMUM_MINOR} is needed: update it to ` +
        'Nix 2.8 or newer, and restart it',
    );
  }
  return Math.min(minor, MAXIMUM_MINOR);
};

/** @param send writes at once; need not be waited for */
export const greetDaemon = async (
  reader: WireReader,
  send: (bytes: Buffer) => void,
): Promise<DaemonGreeting> => {
  send(
    new WireWriter()
      .number(CLIENT_MAGIC)
      .number((MAJOR << 8) | MAXIMUM_MINOR)
      .bytes(),
  );
  const minor = await agreeOnMinor(reader);
  const features = new Set<string>();
  if (minor >= 38) {
    send(new WireWriter().strings(ourFeatures).bytes());
    const count = await reader.number();
    if (count > maxFeatures) throw protocolError(`${count} features`);
    for (let i = 0; i < count; i++) {
      const feature = await reader.string(maxNameBytes);
      if (ourFeatures.includes(feature)) features.add(feature);
    }
  }
  // Two fields that nobody uses any more: no CPU affinity, no reserved space.
  send(new WireWriter().number(0).number(0).bytes());
  const nixVersion = await reader.string(maxNameBytes);
  const trust = minor >= 35 ? await readTrust(reader) : 'unknown';
  return { minor, features, nixVersion, trust };
};
