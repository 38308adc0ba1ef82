// Reads what `nix copy --log-format internal-json` says on stderr: which paths it copies, and what went wrong. Of a log that is
// plain text the latter.
import { z } from 'zod';
import { withoutAnsi } from './internal-json.ts';

export type CopyLogEvent =
  | { readonly kind: 'copy-started'; readonly path: string }
  /** It is over for this path; whether it went well, the exit status tells. */
  | { readonly kind: 'copy-ended'; readonly path: string }
  /** An error, or what a program that Nix started printed: ssh, say. Without colours. */
  | { readonly kind: 'complaint'; readonly text: string };

/** The same in 2.8, 2.26 and 2.34. */
const ACTIVITY_COPY_PATH = 100;
const LEVEL_ERROR = 0;

const Line = z.discriminatedUnion('action', [
  z.object({
    action: z.literal('start'),
    id: z.number(),
    type: z.literal(ACTIVITY_COPY_PATH),
    fields: z.tuple([z.string()], z.unknown()),
  }),
  z.object({ action: z.literal('stop'), id: z.number() }),
  z.object({ action: z.literal('msg'), level: z.literal(LEVEL_ERROR), msg: z.string() }),
]);

const prefix = '@nix ';
/** As Nix says one where its log is plain text: of every setting that it does not know, say. */
const warning = 'warning: ';
/** Nearly every line of a copy over HTTP is of this kind, several for each chunk. */
const noise = '@nix {"action":"result"';

const parseLine = (line: string): z.infer<typeof Line> | null => {
  try {
    return Line.safeParse(JSON.parse(line.slice(prefix.length))).data ?? null;
  } catch {
    return null;
  }
};

/** One for the stderr of one process. The function gives null for a line that says nothing of use, and never throws. */
export const createCopyLogParser = (): ((line: string) => CopyLogEvent | null) => {
  const copying = new Map<number, string>();
  return (line) => {
    if (line === '' || line.startsWith(noise)) return null;
    if (!line.startsWith(prefix)) {
      const text = withoutAnsi(line);
      return text.startsWith(warning) ? null : { kind: 'complaint', text };
    }
    const said = parseLine(line);
    if (said === null) return null;
    switch (said.action) {
      case 'start':
        copying.set(said.id, said.fields[0]);
        return { kind: 'copy-started', path: said.fields[0] };
      case 'stop': {
        const path = copying.get(said.id);
        copying.delete(said.id);
        return path === undefined ? null : { kind: 'copy-ended', path };
      }
      case 'msg':
        return { kind: 'complaint', text: withoutAnsi(said.msg) };
    }
  };
};
