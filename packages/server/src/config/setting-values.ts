// What a value of ekaci.toml may be: each kind of value with its bounds and the words that name them.
// A message may show a number that was given, never a text: it could be a secret in the wrong place.
import { isIP, isIPv4 } from 'node:net';
import { isAbsolute } from 'node:path';
import { z } from 'zod';
import { Secret } from './secret.ts';

type Complaint = { readonly input?: unknown };

/** Words for a value of a wrong type, or for none. */
const expecting = (message: string) => ({
  error: ({ input }: Complaint): string => (input === undefined ? `is missing: it ${message}` : message),
});

/** Any character that does not print: controls, bidirectional and other format marks, unassigned code points. */
const unprintable = /[\p{C}\p{Zl}\p{Zp}]/u;

export const wholeNumber = (min: number, max: number) => {
  const message = `must be a whole number from ${min} to ${max}`;
  const told = {
    error: ({ input }: Complaint): string =>
      typeof input === 'number' ? `${message} (it is ${input})` : expecting(message).error({ input }),
  };
  return z.number(told).int(told).min(min, told).max(max, told);
};

export const flag = () => z.boolean(expecting('must be true or false'));

export const choice = <const Values extends readonly [string, ...string[]]>(values: Values) =>
  z.enum(values, expecting(`must be one of ${values.map((value) => `"${value}"`).join(', ')}`));

export const list = <Item extends z.ZodType>(item: Item, max = 1000) => {
  const message = `must be a list of at most ${max} entries`;
  return z.array(item, expecting(message)).max(max, message);
};

/** A table. A key that it does not have is an error. */
export const table = <Shape extends z.core.$ZodLooseShape>(shape: Shape) =>
  z.strictObject(shape, {
    // What is wrong with unknown keys is said key by key, by who knows the place of each.
    error: ({ input, code }) =>
      code === 'unrecognized_keys' ? undefined : expecting('must be a table').error({ input }),
  });

export const text = (maxLength: number) => {
  const told = expecting(`must be a text of 1 to ${maxLength} printable characters`);
  return z
    .string(told)
    .min(1, told)
    .max(maxLength, told)
    .refine((value) => !unprintable.test(value), told);
};

/** A text of one form, which `message` describes: "must be …". */
const formed = (message: string, isOfForm: (value: string) => boolean) =>
  z.string(expecting(message)).refine((value) => value.length <= 4096 && isOfForm(value), expecting(message));

/** Within one, each line break would be a way to smuggle in a header; nobody sees the others. */
const controlCharacter = /[\u0000-\u001f\u007f-\u009f]/;

export const secret = () =>
  formed(
    'must be a text of 1 to 4096 characters on one line',
    (value) => value !== '' && !controlCharacter.test(value),
  )
    .meta({ title: 'secret text', writeOnly: true })
    .transform((value) => new Secret(value));

export const path = () =>
  formed(
    'must be an absolute path',
    (value) => isAbsolute(value) && !controlCharacter.test(value) && Buffer.byteLength(value) < 4096,
  ).meta({ title: 'absolute path' });

/** Linux's sun_path has 108 bytes with the closing NUL (unix(7)). */
const longestSocketPath = 107;

export const socketPath = () =>
  formed(
    `must be an absolute path of at most ${longestSocketPath} bytes`,
    (value) =>
      isAbsolute(value) && !controlCharacter.test(value) && Buffer.byteLength(value) <= longestSocketPath,
  ).meta({ title: 'absolute path' });

export const socketMode = () =>
  formed('must be three octal digits after a zero in quotes, or after 0o: "0660" or 0o660', (value) =>
    /^0?[0-7]{3}$/.test(value),
  )
    .meta({ title: 'octal mode' })
    .transform((value) => value.padStart(4, '0'));

export const ipAddress = () =>
  formed(
    'must be an IPv4 or IPv6 address, such as "127.0.0.1" or "::1"',
    (value) => isIP(value) !== 0 && !value.includes('%'),
  ).meta({ title: 'IP address' });

export const cidr = () =>
  formed('must be a CIDR block, such as "10.0.0.0/8" or "fd00::/8"', (value) => {
    const [, address = '', prefix = ''] = /^([^/%]+)\/(\d{1,3})$/.exec(value) ?? [];
    return isIP(address) !== 0 && Number(prefix) <= (isIPv4(address) ? 32 : 128);
  }).meta({ title: 'CIDR block' });

const parseUrl = (value: string): URL | null =>
  /[\s\\]/.test(value) || controlCharacter.test(value) ? null : URL.parse(value);

const isWebUrl = (value: string): boolean => {
  const url = parseUrl(value);
  if (url === null || !/^https?:\/\//i.test(value)) return false;
  return url.username === '' && url.password === '' && !/[?#]/.test(value);
};

/** An address of a web server; a slash at its end goes, so that paths can be added. */
export const webUrl = () =>
  formed('must be an http:// or https:// URL without user, query and fragment', isWebUrl)
    .meta({ title: 'URL' })
    .transform((value) => value.replace(/\/+$/, ''));

/** Compared as a text with what browsers send: only the spelling that they use can ever match. */
export const origin = () =>
  formed(
    'must be an origin as browsers send it: http:// or https://, the host in lower case, and a port that is not the ' +
      'default one; no path (not even a "/"), query, fragment, user or "*"',
    (value) => /^https?:/.test(value) && !value.includes('*') && parseUrl(value)?.origin === value,
  ).meta({ title: 'origin' });

export const postgresUrl = () =>
  formed(
    'must be a postgres:// or postgresql:// URL',
    (value) => /^postgres(?:ql)?:\/\//.test(value) && parseUrl(value) !== null,
  )
    .meta({ title: 'secret URL', writeOnly: true })
    .transform((value) => new Secret(value));

/**
 * Whatever `git clone` takes, save for what runs a command of the URL's choice (`ext::`) or reads as an option, and
 * for a password or token, which would be shown and kept with the URL.
 */
const isGitUrl = (value: string): boolean => {
  if (unprintable.test(value) || value.startsWith('-') || value.includes('::')) return false;
  if (isAbsolute(value)) return true;
  const url = /^(https?|ssh|git|file):\/\//.test(value) ? parseUrl(value) : null;
  if (url !== null) {
    const isWeb = url.protocol.startsWith('http');
    return url.password === '' && !(isWeb && (url.username !== '' || /[?#]/.test(value)));
  }
  return /^(?:[\w.-]+@)?[\w.-]+:(?!\/\/)[^\s:]+$/.test(value);
};

export const gitUrl = () =>
  formed(
    'must be an absolute path, user@host:path, or an https, ssh, git or file URL; without a password or token ' +
      '(git takes those from a credential helper)',
    isGitUrl,
  ).meta({ title: 'git URL' });

/** As in git-check-ref-format(1). */
const isBranchName = (value: string): boolean =>
  value !== '' &&
  !/[\u0000-\u0020\u007f~^:?*[\\]|\.\.|@\{|\/\/|^[-/]|[/.]$|\.lock$|(?:^|\/)\./.test(value) &&
  value !== '@';

export const branchName = () => formed('must be the name of a git branch', isBranchName);

export const repositoryName = () =>
  formed(
    'must be owner/repository, in letters, digits, ".", "_" and "-"',
    (value) => /^[\w.-]+(?:\/[\w.-]+)+$/.test(value) && !value.split('/').some((part) => /^\.+$/.test(part)),
  );

export const forgeLogin = () =>
  formed('must be forge:login with github, gitlab or gitea as the forge, such as "github:octocat"', (value) =>
    /^(?:github|gitlab|gitea):[^\s:/]{1,255}$/.test(value),
  ).meta({ title: 'forge:login' });

const globWords = '`*` stays within one segment, `**` crosses `/`, and `*` alone matches everything';

/** A pattern that no owner/repository can match, such as "myorg", would forbid in silence. */
export const repositoryGlob = () =>
  formed(
    `must be a pattern of owner/repository such as "myorg/*": ${globWords}`,
    (value) => /^[^\s?[\]]+$/.test(value) && (value === '*' || value.includes('/') || value.includes('**')),
  ).meta({ title: 'pattern' });

export const branchGlob = () =>
  formed(`must be a pattern of branch names such as "release/*": ${globWords}`, (value) =>
    /^[^\s?[\]]+$/.test(value),
  ).meta({ title: 'pattern' });

export const entryId = () =>
  formed(
    'must be 1 to 100 letters, digits, ".", "_" and "-", the first a letter or a digit',
    (value) => value.length <= 100 && /^[A-Za-z0-9][\w.-]*$/.test(value),
  );

export const domain = () =>
  formed(
    'must be a host name without "https://", with a port where it is needed: "git.example.com:3000"',
    (value) => /^(?!-)[A-Za-z0-9.-]{1,253}(?::\d{1,5})?$/.test(value),
  )
    .meta({ title: 'host name' })
    .transform((value) => value.toLowerCase());

export const variableName = () =>
  formed('must be the name of an environment variable', (value) => /^[A-Za-z_]\w*$/.test(value));

/** One argument of a program: anything but a NUL, which would end it. */
export const argument = () =>
  formed(
    'must be a text without a NUL character, of at most 4096 characters',
    (value) => !value.includes('\0'),
  );
