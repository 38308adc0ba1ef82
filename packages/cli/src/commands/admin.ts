// `ekaci admin`: who may operate a server beside those who can open its unix socket.
import { KnownUser, UserPage } from '@eka-ci/protocol/user';
import { Command } from 'commander';
import { tableText } from '../answer-text.ts';
import { type ForgeLogin, forgeLogin } from '../arguments.ts';
import type { Client } from '../client/client.ts';
import { printable } from '../progress/progress-view.ts';
import { type ServerCommandOptions, serverCommand, showAnswer } from '../server-command.ts';

const path = '/v1/admin/users';
const pageSize = 500;

const listAll = async ({ get }: Client): Promise<KnownUser[]> => {
  const users: KnownUser[] = [];
  let cursor: string | null = null;
  do {
    const query = new URLSearchParams({ limit: String(pageSize), ...(cursor !== null && { cursor }) });
    const page: UserPage = await get(`${path}?${query.toString()}`, UserPage);
    users.push(...page.users);
    cursor = page.nextCursor;
  } while (cursor !== null);
  return users;
};

const day = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

const rightOf = ({ adminBy }: KnownUser): string => (adminBy === null ? '' : `admin, ${adminBy}`);

const usersText = (users: readonly KnownUser[]): string => {
  if (users.length === 0) return 'Nobody has signed in so far.\n';
  const rows = users.map((user) => [
    user.forge,
    user.login,
    String(user.id),
    rightOf(user),
    day(user.signedInAtMs),
  ]);
  return tableText(['FORGE', 'LOGIN', 'ID', 'RIGHT', 'SIGNED IN'], rows);
};

const list = (options: ServerCommandOptions): Promise<void> =>
  showAnswer(options, { ask: listAll, text: usersText });

const change =
  (action: 'promote' | 'demote') =>
  ({ forge, login }: ForgeLogin, options: ServerCommandOptions): Promise<void> =>
    showAnswer(options, {
      ask: ({ post }) =>
        post(`${path}/${[forge, login].map(encodeURIComponent).join('/')}/${action}`, null, KnownUser),
      text: ({ login: name, isAdmin }) => `${printable(name)} is ${isAdmin ? 'an admin' : 'no admin'} now.\n`,
    });

const whom = ['<user>', 'FORGE:LOGIN, who has signed in once', forgeLogin] as const;

export const adminCommand = (): Command =>
  new Command('admin')
    .summary('say who may operate a server')
    .description(
      'Says who may operate a server, beside who can open its unix socket. Asks a running eka-ci-server.',
    )
    .addCommand(
      serverCommand('list', {
        summary: 'list everybody who has signed in, and who of them is an admin',
        examples: ['ekaci admin list'],
      }).action(list),
    )
    .addCommand(
      serverCommand('promote', {
        summary: 'make somebody an admin who has signed in',
        examples: ['ekaci admin promote github:octocat'],
        statuses: [
          'they are an admin',
          'the server said no: nobody of that login has signed in, or you are no admin',
        ],
      })
        .argument(...whom)
        .action(change('promote')),
    )
    .addCommand(
      serverCommand('demote', {
        summary: 'make an admin a user like others',
        examples: ['ekaci admin demote github:octocat'],
        statuses: [
          'they are no admin',
          'the server said no: its configuration lists them, or you are no admin',
        ],
      })
        .argument(...whom)
        .action(change('demote')),
    );
