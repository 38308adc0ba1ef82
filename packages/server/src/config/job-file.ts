// Finds the Nix file of a job in an exported tree, whose files, names and links anyone may have written.
import { parseSafePath, resolveWithin } from '../lib/safe-path.ts';

export type ResolvedJobFile =
  /** `path` is relative to the tree, without links: it is a plain file. */
  | { readonly kind: 'file'; readonly path: string }
  /** `message` is for people and names the file as the job does. */
  | { readonly kind: 'refused'; readonly message: string };

/**
 * Finds the Nix file that a job's `file` means in an exported tree. A leading `/` means the tree's root, a directory
 * its `default.nix`. Whatever leads out of the tree is refused, also when it would lead back in.
 * @param tree the exported tree's directory, trusted
 */
export const resolveJobFile = async (tree: string, file: string): Promise<ResolvedJobFile> => {
  const refuse = (reason: string): ResolvedJobFile => ({
    kind: 'refused',
    message: `file ${JSON.stringify(file)} ${reason}`,
  });
  const parsed = parseSafePath(file);
  if (parsed.kind === 'refused') return refuse(parsed.reason);
  let resolved = await resolveWithin(tree, parsed.path);
  if (resolved.kind === 'directory') {
    const inside = parseSafePath(`${resolved.path}/default.nix`);
    if (inside.kind === 'refused') return refuse(inside.reason);
    resolved = await resolveWithin(tree, inside.path);
    if (resolved.kind === 'missing') return refuse('is a directory without a default.nix');
    if (resolved.kind === 'directory') return refuse('is a directory whose default.nix is a directory too');
  }
  switch (resolved.kind) {
    case 'file':
      return { kind: 'file', path: resolved.path };
    case 'other':
      return refuse('is neither a file nor a directory');
    case 'missing':
    case 'refused':
      return refuse(resolved.reason);
  }
};
