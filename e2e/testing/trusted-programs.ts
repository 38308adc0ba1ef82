// Programs that stand for those of Cachix and Attic: they write down how they are called and by whom, and push.
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startScriptedCache } from '@eka-ci/server/cache/testing/scripted-cache';
import { createStandIn, uploadScript } from '@eka-ci/server/cache/testing/stand-in';
import type { Building, PlacedCache } from './trusted-place.ts';

/** What a stand-in saw of itself and of who started it. */
export interface SeenProcess {
  readonly pid: number;
  readonly command: string;
  readonly parent: string;
}

/** Leads the host of Cachix to the stand-in's: its name is not to be had here, nor a certificate for it. */
const leadCachixTo = (url: string): string => `
import http from 'node:http';
import https from 'node:https';
import { syncBuiltinESMExports } from 'node:module';
const { request } = https;
https.request = (url, options, ...more) =>
  url instanceof URL && url.hostname.endsWith('.cachix.org')
    ? http.request(new URL(url.pathname, ${JSON.stringify(url)}), { ...options, agent: undefined }, ...more)
    : request(url, options, ...more);
syncBuiltinESMExports();
`;

/** It writes down who it is and who started it. */
const seeItself = (file: string): string => `
const commandOf = (pid) => fs.readFileSync('/proc/' + pid + '/cmdline', 'latin1').replaceAll('\\0', ' ');
fs.appendFileSync(${JSON.stringify(file)}, JSON.stringify({
  pid: process.pid, command: commandOf('self'), parent: commandOf(process.ppid),
}) + '\\n');
`;

const waitFor = (file: string, then: string): string => `
const goOn = () => { if (fs.existsSync(${JSON.stringify(file)})) { ${then} } else setTimeout(goOn, 20); };
goOn();
`;

/** Cachix and Attic: programs of their own, a token each. */
export const placeHosted = async ({ folder, secrets, endings }: Building, gate: string) => {
  const tokens = {
    CACHIX_OF_CI: secrets.word('token of cachix'),
    ATTIC_TOKEN: secrets.word('token of attic'),
  };
  const hosted = await startScriptedCache();
  endings.push(hosted.stop);
  for (const place of ['', 'ours/'])
    hosted.files.set(`/${place}nix-cache-info`, Buffer.from('WantMassQuery: 1\n'));
  const cachix = await createStandIn({ folder: join(folder, 'cachix'), name: 'cachix' });
  const attic = await createStandIn({
    ...{ folder: join(folder, 'attic'), name: 'attic', config: 'attic/config.toml' },
  });
  const seen = join(folder, 'seen');
  await appendFile(seen, '');
  await cachix.script(seeItself(seen) + uploadScript(hosted.url, 'stdin.split(/\\s+/).filter(Boolean)'));
  await attic.script(seeItself(seen) + waitFor(gate, uploadScript(`${hosted.url}ours/`, 'args.slice(2)')));
  const preload = join(folder, 'cachix-host.mjs');
  await writeFile(preload, leadCachixTo(hosted.url));
  const caches: PlacedCache[] = [
    {
      ...{ id: 'cachix', type: 'cachix', destination: 'our-cache', signedBy: null, held: null },
      credentials: '{ cachix-token = { env_var = "CACHIX_OF_CI" } }',
    },
    {
      ...{ id: 'attic', type: 'attic', destination: `${hosted.url}ours`, signedBy: null, held: null },
      credentials: '{ env = { vars = ["ATTIC_TOKEN"] } }',
    },
  ];
  return {
    ...{ caches, hosted, cachix, attic },
    env: { ...tokens, NODE_OPTIONS: `--import=${preload}` },
    seen: async () => {
      const lines = (await readFile(seen, 'utf8')).trim().split('\n');
      return lines.flatMap((line) => (line === '' ? [] : [JSON.parse(line) as SeenProcess]));
    },
  };
};
