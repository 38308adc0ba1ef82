// flake.lock: every input of a flake and of its inputs, each locked by the hash of its tree.
import { z } from 'zod';
import {
  collectEntries,
  type LockEntry,
  type LockedInput,
  lockedInput,
  nothing,
  parseJson,
  passOver,
  type ReadLockFile,
  shownType,
} from './locked-input.ts';
import { webAddressOf } from './web-address.ts';

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
    url: z.string().regex(/^(?:https?|ssh):\/\//),
    rev: hosted.rev,
    narHash: z.string(),
    submodules: z.boolean().optional(),
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

const gitOf = (locked: Extract<Locked, { type: 'git' }>): Partial<LockedInput> | null => {
  const address = webAddressOf(locked.url);
  if (address === null) return null;
  const { url, isRewritten: isOverSsh } = address;
  return { url, isOverSsh, commit: locked.rev, submodules: locked.submodules ?? false };
};

const readNode = (storeDir: string, name: string, given: Record<string, unknown> | undefined): LockEntry => {
  // The flake itself, and what lies in its own tree.
  if (given === undefined || given['type'] === 'path') return nothing;
  const parsed = Locked.safeParse(given);
  const git = parsed.data?.type === 'git' ? gitOf(parsed.data) : {};
  if (!parsed.success || git === null) {
    return passOver(
      name,
      `is ${shownType(given['type'])}, as it stands there: only github, gitlab, sourcehut, tarball and git over https or ssh, without LFS, are fetched beforehand`,
    );
  }
  const place = { url: urlOf(parsed.data), of: 'tree', storeName: 'source' } as const;
  return lockedInput(storeDir, { name, ...place, hash: parsed.data.narHash, ...git });
};

export const readFlakeLock = (text: string, storeDir: string): ReadLockFile => {
  const parsed = FlakeLock.safeParse(parseJson(text));
  if (!parsed.success) return { kind: 'unreadable', why: 'it has not the form of a flake.lock' };
  const { version, nodes } = parsed.data;
  if (version < 5 || version > 7) return { kind: 'unreadable', why: `its version ${version} is not known` };
  return collectEntries(Object.entries(nodes).map(([name, { locked }]) => readNode(storeDir, name, locked)));
};
