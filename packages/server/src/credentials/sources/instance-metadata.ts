// `"instance-metadata"`: what the cloud that this machine is in gives it. All clouds are asked at once, and who wins is
// decided by their order, not by who is quicker.
import { CredentialError } from '../credential-error.ts';
import type { LoadSource, MetadataPlaces, SourceAnswer, SourceHost } from '../source.ts';
import { askAzure } from './metadata/azure.ts';
import { askEc2 } from './metadata/ec2.ts';
import { askEcs, findEcs } from './metadata/ecs.ts';
import { askGcp } from './metadata/gcp.ts';
import { absent, type Told } from './metadata/metadata-answer.ts';

const everywhere: MetadataPlaces = {
  ec2: 'http://169.254.169.254/',
  ecs: 'http://169.254.170.2/',
  gcp: 'http://metadata.google.internal/',
  azure: 'http://169.254.169.254/',
  timeoutMs: 2000,
};

/** AWS lets its place be named, or its service not be asked at all. Null: not asked. */
const ec2Place = ({ env }: SourceHost, place: string): string | null => {
  if ((env['AWS_EC2_METADATA_DISABLED'] ?? '').toLowerCase() === 'true') return null;
  const named = env['AWS_EC2_METADATA_SERVICE_ENDPOINT'] ?? '';
  if (named === '') return place;
  const url = URL.parse(named);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    const message = 'the variable AWS_EC2_METADATA_SERVICE_ENDPOINT is no URL: mend it, or leave it out';
    throw new CredentialError('CREDENTIAL_SETTING_INVALID', message);
  }
  return url.href.replace(/\/*$/, '/');
};

/** In the order in which they count. @throws CredentialError */
const beginAsking = (host: SourceHost, places: MetadataPlaces, signal: AbortSignal): Promise<Told>[] => {
  const container = findEcs(host, places.ecs);
  // The machine's own role is another one than that of a container on it: it is no substitute.
  if (container !== null) return [askEcs(container, host, signal)];
  const ec2 = ec2Place(host, places.ec2);
  return [
    ec2 === null ? Promise.resolve(absent) : askEc2(ec2, signal),
    askGcp(places.gcp, signal),
    askAzure(places.azure, signal),
  ];
};

const chooseAnswer = async (asking: readonly Promise<Told>[], seconds: number): Promise<SourceAnswer> => {
  let refused: CredentialError | null = null;
  for (const one of asking) {
    const told = await one;
    if (told.kind === 'gives') return told.answer;
    if (told.kind === 'refuses') refused ??= told.error;
  }
  const message = `no metadata service of EC2, GCP or Azure answered within ${seconds} s: use instance-metadata on machines of these clouds, and env, file or systemd-credential elsewhere`;
  throw refused ?? new CredentialError('CREDENTIAL_UNREACHABLE', message);
};

export const loadInstanceMetadata: LoadSource<'instance-metadata'> = async (_source, host, signal) => {
  const places = { ...everywhere, ...host.metadata };
  const timeout = AbortSignal.timeout(places.timeoutMs);
  const chosen = new AbortController();
  const asking = beginAsking(host, places, AbortSignal.any([signal, timeout, chosen.signal])).map((one) =>
    one.catch((error: unknown): Told => {
      if (error instanceof CredentialError) return { kind: 'refuses', error };
      // Who is silent is not there; whoever is not waited for any more is not told of.
      if (signal.aborted || timeout.aborted || chosen.signal.aborted) return absent;
      throw error;
    }),
  );
  // Whoever comes after the one that is chosen is never waited for.
  for (const one of asking) one.catch(() => {});
  try {
    return await chooseAnswer(asking, places.timeoutMs / 1000);
  } finally {
    chosen.abort();
  }
};
