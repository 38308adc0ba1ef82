// What happens, seen while it happens: `ekaci watch` and `ekaci logs --follow` beside a server that builds.
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { basename, join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Child } from '@eka-ci/process';
import { ActiveBuilds } from '@eka-ci/protocol/build';
import { Derivation } from '@eka-ci/protocol/derivation';
import { LiveEvent } from '@eka-ci/protocol/live';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createWorld, type World } from './testing/ekaci.ts';
import { createRepository, type Repository } from './testing/repository.ts';
import { configureServer, startServer, type TestServer, until } from './testing/server.ts';

let world: World;
let repository: Repository;
let configFile: string;
let server: TestServer;
const started: Child[] = [];

/** Says five lines, waits for its gate, says five hundred more. */
const packageSet = (gates: string): string => `
let
  version = import ./version.nix;
in
{
  chatty = derivation {
    name = "chatty-\${version}";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" ''
      i=0
      say() { while [ $i -lt $1 ]; do i=$((i + 1)); echo "line $i of ${'${version}'}"; done; }
      say 5
      [ ${'${version}'} = 1 ] || while [ ! -e ${gates}/${'${version}'} ]; do /bin/sleep 0.02; done
      say 505
      echo done > $out
    '' ];
  } // { pname = "chatty"; inherit version; };
}
`;
const versionFile = (version: string) => ({ 'version.nix': `"${version}"\n` });

beforeAll(async () => {
  world = await createWorld();
  repository = await createRepository(join(world.folder, 'chatty'), {
    '.eka-ci/config.json': JSON.stringify({ jobs: { packages: { file: 'default.nix' } } }),
    'default.nix': packageSet(world.folder),
    ...versionFile('1'),
  });
  configFile = await configureServer(world, repository.path);
  server = await startServer(world, configFile);
});
afterAll(async () => {
  for (const child of started) child.end('SIGKILL');
  await server.stop();
  await world.remove();
});

const start = async (...args: readonly string[]) => {
  const child = await world.start(...args, '--socket', join(world.folder, 'ekaci.socket'));
  started.push(child);
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      said[name] += text;
    });
  }
  return { child, said };
};

/** The build of that version, once it waits for its gate. */
const activeBuild = (version: string): Promise<string> =>
  until(async () => {
    const { builds } = ActiveBuilds.parse(await server.get('/v1/builds/active'));
    return builds.find(({ name }) => name === `chatty-${version}`)?.drvPath ?? null;
  });
const openGate = (version: string): Promise<void> => writeFile(join(world.folder, version), '');
const linesOf = (version: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `line ${index + 1} of ${version}`);

const statesOfChange = (events: readonly LiveEvent[], branch: string): string[] =>
  events.flatMap((event) =>
    event.type === 'change_update' && event.change.branch === branch ? [event.change.state] : [],
  );

/** What the command prints as JSON. */
const asked = async (...args: readonly string[]): Promise<unknown> =>
  JSON.parse((await world.ekaci(...args, '--json', '--server', server.address)).stdout);

/** Over the socket, where no token is needed. */
const metrics = async (): Promise<string> => {
  const asking = request({ socketPath: join(world.folder, 'ekaci.socket'), path: '/metrics' }).end();
  const [answer] = (await once(asking, 'response')) as [IncomingMessage];
  return text(answer);
};

it('tells every state in its order, and the log of a build line by line to its end', {
  timeout: 60_000,
}, async () => {
  const watching = await start('watch', '--json');
  await until(async () => ((await metrics()).includes('\neka_ci_live_subscriptions 1\n') ? true : null));
  await repository.branch('two', versionFile('2'));
  const drv = await activeBuild('2');
  const following = await start('logs', drv, '--follow');
  await until(async () => (following.said.stdout.includes('line 5 of 2\n') ? true : null));
  expect(following.said.stdout).not.toContain('line 6 ');
  await openGate('2');
  expect(await following.child.exited).toEqual({ code: 0, signal: null });
  expect(following.said.stdout.split('\n')).toEqual([...linesOf('2', 505), '']);
  expect(following.said.stderr).toBe('ekaci: succeeded\n');
  expect(following.said.stdout).toBe(
    await (await fetch(`${server.address}/v1/logs/${basename(drv)}`)).text(),
  );

  const eventsSoFar = () =>
    watching.said.stdout
      .split('\n')
      .slice(0, -1)
      .map((line) => LiveEvent.parse(JSON.parse(line)));
  const events = await until(async () => {
    const all = eventsSoFar();
    return statesOfChange(all, 'two').includes('judged') ? all : null;
  });
  watching.child.end('SIGINT');
  expect(await watching.child.exited).toEqual({ code: 0, signal: null });
  const ofBuild = events.filter((event) => event.type === 'build_state_change' && event.drvPath === drv);
  const states = ofBuild.map((event) => (event.type === 'build_state_change' ? event.to : ''));
  expect(states).toEqual(['queued', 'buildable', 'building', 'succeeded']);
  expect(statesOfChange(events, 'two')).toEqual(['queued', 'judging', 'judged']);

  // Whoever asks, and however, is told the same.
  const lastTold = events.findLast(
    (event) => event.type === 'change_update' && event.change.branch === 'two',
  );
  const listed = (await server.changes()).find(({ branch }) => branch === 'two');
  expect(lastTold).toEqual({ type: 'change_update', change: listed });
  expect(await asked('changes')).toEqual(await server.get('/v1/prs'));
  const derivation = await server.get(`/v1/drvs/${basename(drv)}`);
  expect(derivation).toMatchObject({ state: states.at(-1) });
  expect(await asked('drv', 'info', drv)).toEqual({
    ...Derivation.parse(derivation),
    hooks: expect.anything() as unknown,
  });

  const again = await world.ekaci('logs', drv, '-f', '--json', '--server', server.address);
  expect(again).toMatchObject({ code: 0, stderr: '' });
  expect(again.stdout.split('\n')[504]).toBe('{"line":505,"text":"line 505 of 2"}');
});

it('goes on following when the server is stopped and comes back', { timeout: 60_000 }, async () => {
  await repository.branch('three', versionFile('3'));
  const drv = await activeBuild('3');
  const following = await start('logs', drv, '-f', '--json');
  const change = await start('watch', 'demo/package-set', '2');
  await until(async () => (following.said.stdout.includes('line 5 of 3') ? true : null));
  await until(async () => (change.said.stdout.endsWith(' judging\n') ? true : null));
  expect(await server.stop()).toEqual({ code: 0, signal: null });
  server = await startServer(world, configFile);
  await until(async () => (following.said.stdout.includes('"attempt":2,"line":5,') ? true : null));
  await openGate('3');
  expect(await following.child.exited).toEqual({ code: 0, signal: null });
  const logged = async (attempt: number) => {
    const log = await (await fetch(`${server.address}/v1/logs/${basename(drv)}?attempt=${attempt}`)).text();
    const lines = log.split('\n').slice(0, -1);
    return lines.map((line, index) => ({ attempt, line: index + 1, text: line }));
  };
  const lines = following.said.stdout.split('\n').slice(0, -1);
  expect(lines.map((line): unknown => JSON.parse(line))).toEqual([
    ...(await logged(1)),
    ...(await logged(2)),
  ]);
  expect(lines.length).toBeGreaterThanOrEqual(510);
  expect(following.said.stderr).toMatch(/waiting for the server\n[^]*attempt 2 begins\n[^]*succeeded\n$/);
  expect(await change.child.exited).toEqual({ code: 0, signal: null });
  expect(change.said.stdout).toMatch(/demo\/package-set 2 three \([0-9a-f]{12}\) judged: success\n$/);
});
