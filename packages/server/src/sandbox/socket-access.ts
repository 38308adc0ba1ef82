// Who may connect to the socket of a sandbox: root may to every one, and what root finds to work a server need not have.
import { readFile, stat } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { dirname } from 'node:path';
import { errorCodeOf } from '../lib/error-code.ts';

/** As stat(2) has them. */
export interface FileRights {
  readonly path: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface SocketRights {
  readonly socket: FileRights;
  /** All above it: whoever may not go through one of them does not get there. */
  readonly folders: readonly FileRights[];
  /** Of the machine; of a number that has none it is the number. */
  readonly userName: (uid: number) => string;
  readonly groupName: (gid: number) => string;
}

export interface SocketAccess {
  /** Continues a sentence that names the socket. */
  readonly may: string;
  /** Null where others than root may connect. */
  readonly warning: string | null;
}

type Somebody = { readonly uid: number } | { readonly gid: number } | 'anybody';

const [passes, writes] = [1, 2];

/** Of the three that a file has those that count for somebody, of whom nothing else is known. */
const bitsFor = ({ mode, uid, gid }: FileRights, who: Somebody): number => {
  if (who === 'anybody') return mode;
  if ('uid' in who) return who.uid === uid ? mode >> 6 : mode;
  return who.gid === gid ? mode >> 3 : mode;
};

const mayPass = (folder: FileRights, who: Somebody): boolean => (bitsFor(folder, who) & passes) !== 0;
const mayWrite = (socket: FileRights, who: Somebody): boolean => (bitsFor(socket, who) & writes) !== 0;

const octal = ({ mode }: FileRights): string => (mode & 0o777).toString(8).padStart(4, '0');

/** Others than root: the socket's owner, its group, and everybody. */
const whoMay = (
  { socket, userName, groupName }: SocketRights,
  folders: readonly FileRights[],
): readonly string[] => {
  const mayConnect = (who: Somebody): boolean =>
    mayWrite(socket, who) && folders.every((folder) => mayPass(folder, who));
  if (mayConnect('anybody')) return ['everybody'];
  const { uid, gid } = socket;
  return [
    ...(uid !== 0 && mayConnect({ uid }) ? [`the user ${userName(uid)}`] : []),
    ...(gid !== 0 && mayConnect({ gid }) ? [`the group ${groupName(gid)}`] : []),
  ];
};

const ownersOf = (file: FileRights, { userName, groupName }: SocketRights): string =>
  `${userName(file.uid)}:${groupName(file.gid)}, ${octal(file)}`;

/** What root finds by trying says nothing of others; what the files say does. */
export const describeSocketAccess = (rights: SocketRights): SocketAccess => {
  const { socket, folders } = rights;
  const may = whoMay(rights, folders);
  if (may.length > 0) return { may: `${may.join(' and ')} may connect (${octal(socket)})`, warning: null };
  const nobody = 'only root may connect';
  const closed = folders.filter((folder) => !mayPass(folder, 'anybody')).at(-1);
  if (closed !== undefined && whoMay(rights, []).length > 0) {
    const why = `${closed.path} lets nobody else through (${ownersOf(closed, rights)})`;
    return {
      may: `${nobody} (${why})`,
      warning: `${nobody} to the sandbox at ${socket.path}: ${why}; chmod o+x ${closed.path}, or let it listen elsewhere`,
    };
  }
  const unit =
    'SocketGroup=eka-ci-sandbox and SocketMode=0660 in its socket unit (systemctl edit eka-ci-sandbox.socket), and ' +
    "SupplementaryGroups=eka-ci-sandbox in the server's (systemctl edit eka-ci)";
  return {
    may: `${nobody} (${octal(socket)})`,
    warning: `${nobody} to the sandbox at ${socket.path} (${ownersOf(socket, rights)}), and a server that is not root cannot: ${unit}`,
  };
};

/** Of passwd(5) or group(5): a name, a password, a number. */
const namesIn = async (file: string): Promise<(id: number) => string> => {
  const text = await readFile(file, 'utf8').catch(() => '');
  const names = new Map(
    text.split('\n').map((line) => {
      const [name = '', , id = ''] = line.split(':');
      return [id, name];
    }),
  );
  return (id) => names.get(String(id)) ?? String(id);
};

const rightsOf = async (path: string): Promise<FileRights> => {
  const { mode, uid, gid } = await stat(path);
  return { path, mode, uid, gid };
};

const foldersAbove = (path: string): string[] => {
  const folder = dirname(path);
  return folder === path ? [] : [...foldersAbove(folder), folder];
};

/** Null where it cannot be looked at: whoever connects says why. */
export const lookAtSocket = async (path: string): Promise<SocketAccess | null> => {
  try {
    const [socket, ...folders] = await Promise.all([path, ...foldersAbove(path)].map(rightsOf));
    if (socket === undefined) return null;
    const [userName, groupName] = await Promise.all(['/etc/passwd', '/etc/group'].map(namesIn));
    if (userName === undefined || groupName === undefined) return null;
    return describeSocketAccess({ socket, folders, userName, groupName });
  } catch (error) {
    if (errorCodeOf(error) === '') throw error;
    return null;
  }
};

/** Of this process; its number where the machine has no name for it. */
export const ownName = (): string => {
  try {
    return userInfo().username;
  } catch {
    return `user ${process.getuid?.() ?? '?'}`;
  }
};
