// Merges that people ask for in comments: through the whole server, real git and real Nix, and a GitHub that is not.
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createGithubTown, type GithubTown, green, red, repository } from './testing/github.ts';
import { until } from './testing/server.ts';

let town: GithubTown;

beforeAll(async () => {
  town = await createGithubTown({ settings: ['default_merge_method = "rebase"'] });
  // One command in five seconds is taken of one person.
  await town.control.createUser({ login: 'erin' });
  await town.control.setRole({ repository, user: 'erin', role: 'write' });
  await town.start();
});
afterEach(() => town.expectCalm());
afterAll(() => town.remove());

const say = async (number: number, body: string, by = 'carol'): Promise<number> =>
  (await town.control.comment({ repository, number, body, by })).id;

const reactionsTo = async (number: number, id: number): Promise<string[]> => {
  const comments = await town.control.readComments({ repository, number });
  return (comments.find((comment) => comment.id === id)?.reactions ?? []).map(({ content }) => content);
};
const untilReaction = (number: number, id: number, wanted: string) =>
  until(async () => ((await reactionsTo(number, id)).includes(wanted) ? true : null));
const untilReply = (number: number, wanted: string) =>
  until(async () => {
    const comments = await town.control.readComments({ repository, number });
    return comments.map(({ body }) => body).find((body) => body.includes(wanted)) ?? null;
  });

/** One command in five seconds is taken of one person: whoever wants more says it again. */
const sayUntilHeard = (number: number, body: string, by = 'carol'): Promise<number> =>
  until(async () => {
    const id = await say(number, body, by);
    const deadline = Date.now() + 2000;
    while (Date.now() < deadline) if ((await reactionsTo(number, id)).length > 0) return id;
    return null;
  });

/** As whoever runs the server. */
const postOverSocket = (path: string, body: object): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const socketPath = join(town.world.folder, 'ekaci.socket');
    const headers = { 'content-type': 'application/json' };
    request({ socketPath, method: 'POST', path, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve(JSON.parse(text)));
    })
      .once('error', reject)
      .end(JSON.stringify(body));
  });

const push = async (branch: string, text: string, from: string | null = null): Promise<string> => {
  const files = { 'alpha.sh': text };
  return (await town.control.push({ repository, branch, files, from, by: 'carol' })).sha;
};
const open = async (branch: string, text: string) => {
  await push(branch, text, 'main');
  return town.control.openPull({ repository, head: branch, title: branch, by: 'carol' });
};
const mergesAsked = async (number: number): Promise<number> => {
  const requests = await town.control.readRequests({});
  return requests.filter(({ method, path }) => method === 'PUT' && path.endsWith(`/pulls/${number}/merge`))
    .length;
};

it('merges what is red, fixed, green: only then, and exactly that', { timeout: 120_000 }, async () => {
  const { control } = town;
  const { number, headSha } = await open('topic', 'echo broken; exit 1');
  await town.untilShown(headSha, red);
  const early = await say(number, 'Looks good.\n@eka-ci merge');
  await untilReaction(number, early, '+1');
  // The fix is another head: nobody has asked for that.
  const fixed = await push('topic', 'echo fixed > $out');
  await untilReaction(number, early, 'confused');
  const reply = await untilReply(number, 'the head moved');
  expect(reply).toContain(headSha);
  expect(reply).toContain(fixed);
  await town.untilShown(fixed, green);
  expect((await control.readPull({ repository, number })).merged).toBe(false);
  expect(await mergesAsked(number)).toBe(0);
  const asked = await say(number, '@eka-ci merge squash', 'alice');
  await untilReaction(number, asked, 'rocket');
  expect(await control.readPull({ repository, number })).toMatchObject({ merged: true, state: 'closed' });
  expect(await mergesAsked(number)).toBe(1);
  expect(await reactionsTo(number, early)).toEqual(['+1', 'confused']);
});

it('waits for what is built, also over a kill, and tells it once', { timeout: 120_000 }, async () => {
  const { control } = town;
  const { number, headSha } = await open('slow', 'echo slow; /bin/sleep 3; echo > $out');
  await town.untilShown(headSha, { 'EkaCI: packages': 'in_progress' });
  const asked = await say(number, '@eka-ci merge', 'erin');
  await untilReaction(number, asked, '+1');
  await town.server()?.kill();
  // What it asks the forge for is done, and nobody hears of it.
  await control.addFault({
    ...{ method: 'PUT', path: '/merge$', times: 1, takesEffect: true },
    fault: { kind: 'hang' },
  });
  await town.start();
  await until(async () => ((await control.readPull({ repository, number })).merged ? true : null));
  await town.server()?.kill();
  expect(await reactionsTo(number, asked)).toEqual(['+1']);
  await town.start();
  await untilReaction(number, asked, 'rocket');
  expect(await control.readPull({ repository, number })).toMatchObject({ merged: true });
  expect(await reactionsTo(number, asked)).toEqual(['+1', 'rocket']);
});

it('says what the forge says, and what it allows', { timeout: 120_000 }, async () => {
  const { control } = town;
  await control.configureRepository({ repository, mergeMethods: ['merge', 'squash'] });
  const { number, headSha } = await open('refused', 'echo refused > $out');
  await town.untilShown(headSha, green);
  const unfit = await sayUntilHeard(number, '@eka-ci merge', 'alice');
  await untilReaction(number, unfit, '-1');
  expect(await untilReply(number, 'does not allow')).toMatch(/`merge`, `squash`/);
  await control.protect({ repository, branch: 'main', requiredChecks: [{ context: 'made by nobody' }] });
  const asked = await sayUntilHeard(number, '@eka-ci merge squash');
  await untilReaction(number, asked, '-1');
  expect(await untilReply(number, 'the forge does not let me')).toMatch(/```/);
  expect(await control.readPull({ repository, number })).toMatchObject({ merged: false });
  await control.unprotect({ repository, branch: 'main' });
  const other = await sayUntilHeard(number, '@eka-ci merge squash');
  await untilReaction(number, other, 'rocket');
});

it('puts it into a merge queue where the branch has one, and tells when that has merged it', {
  timeout: 120_000,
}, async () => {
  const { control } = town;
  await control.protect({
    repository,
    branch: 'main',
    mergeQueue: true,
    requiredChecks: [{ context: 'EkaCI' }],
  });
  const { number, headSha } = await open('queued', 'echo queued > $out');
  await town.untilShown(headSha, green);
  // The method is the queue's own.
  const asked = await sayUntilHeard(number, '@eka-ci merge rebase', 'alice');
  await untilReaction(number, asked, 'rocket');
  expect(await control.readPull({ repository, number })).toMatchObject({ merged: true });
  expect(await control.readQueue({ repository, branch: 'main' })).toEqual([]);
  expect(await reactionsTo(number, asked)).toEqual(['+1', 'rocket']);
  await control.unprotect({ repository, branch: 'main' });
});

it('lets maintainers merge what is theirs, and nothing else', { timeout: 120_000 }, async () => {
  const { control } = town;
  const dora = await control.createUser({ login: 'dora' });
  const gamma = (text: string, id: number) => `derivation {
    name = "gamma"; system = builtins.currentSystem; builder = "/bin/sh";
    args = [ "-c" ${JSON.stringify(text)} ];
  } // { meta = {
    maintainers = [ { github = "dora"; githubId = ${id}; } ];
    position = toString ./package.nix + ":1";
  }; }`;
  await control.push({
    ...{ repository, branch: 'main', by: 'alice' },
    files: {
      'default.nix': `let
        shell = name: derivation {
          inherit name; system = builtins.currentSystem; builder = "/bin/sh";
          args = [ "-c" (builtins.readFile (./. + "/\${name}.sh")) ];
        };
      in { alpha = shell "alpha"; beta = shell "beta"; gamma = import ./pkgs/gamma/package.nix; }`,
      'pkgs/gamma/package.nix': gamma('echo 1 > $out', dora.id),
    },
  });
  await control.fork({ repository, owner: 'dora' });
  const offer = async (branch: string, files: Record<string, string>) => {
    await control.push({ repository: 'dora/pkgs', branch, from: 'main', files, by: 'dora' });
    const pull = await control.openPull({
      repository,
      head: branch,
      from: 'dora/pkgs',
      title: branch,
      by: 'dora',
    });
    await town.untilShown(pull.headSha, green);
    return pull.number;
  };
  const file = 'pkgs/gamma/package.nix';
  const readme = await offer('readme', { [file]: gamma('echo 2 > $out', dora.id), 'README.md': 'mine' });
  const denied = await sayUntilHeard(readme, '@eka-ci merge squash', 'dora');
  await untilReaction(readme, denied, '-1');
  const own = await offer('own', { [file]: gamma('echo 3 > $out', dora.id), 'pkgs/gamma/fix.patch': '' });
  const stranger = await say(own, '@eka-ci merge squash', 'bob');
  await untilReaction(own, stranger, '-1');
  const asked = await sayUntilHeard(own, '@eka-ci merge squash', 'dora');
  await untilReaction(own, asked, 'rocket');
  expect(await control.readPull({ repository, number: readme })).toMatchObject({ merged: false });

  // By others it waits for what they say of it, where it is to be merged by itself.
  const { sha } = await control.push({
    ...{ repository, branch: 'auto', from: 'main', by: 'carol' },
    files: { [file]: gamma('echo 4 > $out', dora.id) },
  });
  const { number } = await control.openPull({ repository, head: 'auto', title: 'auto', by: 'carol' });
  await town.untilShown(sha, green);
  const path = `/v1/prs/github/${repository}/${number}/auto-merge`;
  const asMerge = { state: 'pending', by: 'operator', needsReviews: true };
  expect(await postOverSocket(path, { method: 'squash' })).toMatchObject({
    ...{ isGreen: true, unapproved: ['gamma'], asked: asMerge },
  });
  await control.review({ repository, number, state: 'APPROVED', by: 'alice' });
  await control.settle({});
  expect(await control.readPull({ repository, number })).toMatchObject({ merged: false });
  await control.review({ repository, number, state: 'APPROVED', by: 'dora' });
  await until(async () => ((await control.readPull({ repository, number })).merged ? true : null));
});
