import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const module = JSON.stringify(new URL('young-objects.ts', import.meta.url).href);
const held = /setFlagsFromString\('--semi-space-growth-factor=1'\);/.exec(
  readFileSync(fileURLToPath(new URL('../eka-ci-server.mjs', import.meta.url)), 'utf8'),
)?.[0];

const script = `
  import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
  import { letYoungObjectsGrow } from ${module};
  const room = () => getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size;
  const make = () => Array.from({ length: 500_000 }, (_, index) => ({ index }));
  ${held}
  const kept = [make()];
  const before = room();
  letYoungObjectsGrow();
  kept.push(make());
  console.log(JSON.stringify({ before, after: room(), kept: kept.length }));
`;

it('gives more room than a start has', () => {
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  const { before, after } = JSON.parse(stdout) as { before: number; after: number };
  expect(after).toBeGreaterThan(before * 2);
});
