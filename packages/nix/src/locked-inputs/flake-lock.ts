// flake.lock: every input of a flake and of its inputs, each locked by the hash of its tree.
import { z } from 'zod';
import {
  collectEntries,
  type LockEntry,
  lockedInput,
  nothing,
  parseJson,
  passOver,
  type ReadLockFile,
  shownType,
} from './locked-input.ts';

const FlakeLock = z.object({
  version: z.number(),
  nodes: z.record(z.string(), z.object({ locked: z.record(z.string(), z.unknown()).optional() })),
});

const hosted = {
  owner: z.string().regex(/^[\w.-]+(?:(?:\/|%2[Ff])[\w.-]+)*$/),
  repo: z.string().regex(/^[\w.-]+$/),
  rev: z.string().regex(/^[0-9a-f]{40}(?:[0-9a-f]{24})?$/),
  host: z
    .string()
    .regex(/^[\w.-]+(?::\d+)?$/)
    .optional(),
  narHash: z.string(),
};

/** Nix's own ways of fetching; the rest of what a type holds does not matter to us. */
const Locked = z.discriminatedUnion('type', [
  z.object({ type: z.literal('github'), ...hosted }),
  z.object({ type: z.literal('gitlab'), ...hosted }),
  z.object({
    type: z.literal('sourcehut'),
    owner: z.string().regex(/^~?[\w.-]+$/),
    repo: hosted.repo,
    rev: hosted.rev,
    host: hosted.host,
    narHash: z.string(),
  }),
  z.object({ type: z.literal('tarball'), url: z.string(), narHash: z.string() }),
  z.object({
    type: z.literal('git'),
    url: z.string().regex(/^https?:\/\//),
    rev: hosted.rev,
    narHash: z.string(),
    submodules: z.literal(false).optional(),
    lfs: z.literal(false).optional(),
  }),
]);
type Locked = z.output<typeof Locked>;

const urlOf = (locked: Locked): string => {
  switch (locked.type) {
    case 'github':
      return `https://${locked.host ?? 'github.com'}/${locked.owner}/${locked.repo}/archive/${locked.rev}.tar.gz`;
    case 'gitlab': {
      const project = encodeURIComponent(`${decodeURIComponent(locked.owner)}/${locked.repo}`);
      return `https://${locked.host ?? 'gitlab.com'}/api/v4/projects/${project}/repository/archive.tar.gz?sha=${locked.rev}`;
    }
    case 'sourcehut':
      return `https://${locked.host ?? 'git.sr.ht'}/${locked.owner}/${locked.repo}/archive/${locked.rev}.tar.gz`;
    case 'git':
    case 'tarball':
      return locked.url;
  }
};

const readNode = (storeDir: string, name: string, given: Record<string, unknown> | undefined): LockEntry => {
  // The flake itself, and what lies in its own tree.
  if (given === undefined || given['type'] === 'path') return nothing;
  const parsed = Locked.safeParse(given);
  if (!parsed.success) {
    return passOver(
      name,
      `is ${shownType(given['type'])}, as it stands there: only github, gitlab, sourcehut, tarball and git over https, without submodules, are fetched beforehand`,
    );
  }
  const { narHash, type } = parsed.data;
  return lockedInput(storeDir, {
    name,
    commit: type === 'git' ? parsed.data.rev : null,
    url: urlOf(parsed.data),
    of: 'tree',
    storeName: 'source',
    hash: narHash,
  });
};

export const readFlakeLock = (text: string, storeDir: string): ReadLockFile => {
  const parsed = FlakeLock.safeParse(parseJson(text));
  if (!parsed.success) return { kind: 'unreadable', why: 'it has not the form of a flake.lock' };
  const { version, nodes } = parsed.data;
  if (version < 5 || version > 7) return { kind: 'unreadable', why: `its version ${version} is not known` };
  return collectEntries(Object.entries(nodes).map(([name, { locked }]) => readNode(storeDir, name, locked)));
};
