import { afterEach, expect, it } from 'vitest';
import { endAllChildren, findMarked, killMarked, signalMarked, startChild } from './process.ts';

/** For a machine that has much else to do. */
const patience = { timeout: 30_000 };

const name = 'EKA_TEST_MARK';
const path = process.env['PATH'] ?? '';
let marks = 0;
const newMark = (): string => `test-${process.pid}-${++marks}`;
const sh = (script: string, mark: string) =>
  startChild({ command: 'sh', args: ['-c', script], env: { PATH: path, [name]: mark } });

afterEach(() => endAllChildren('SIGKILL'));

it('finds what a child started wherever it went, and nothing else', async () => {
  const mark = newMark();
  const child = await sh('setsid sh -c "setsid sleep 300 & exec sleep 300" & exec sleep 300', mark);
  const other = await sh('exec sleep 300', `${mark}0`);
  await expect.poll(() => findMarked({ name, value: mark }), patience).toHaveLength(3);
  await expect.poll(() => findMarked({ name, value: mark, match: 'prefix' }), patience).toHaveLength(4);
  expect(await killMarked({ name, value: mark })).toBeGreaterThanOrEqual(3);
  await child.left;
  expect(await findMarked({ name, value: mark })).toEqual([]);
  expect(await findMarked({ name, value: mark, match: 'prefix' })).toEqual([other.pid]);
  expect(await killMarked({ name, value: newMark() })).toBe(0);
});

it('ends what starts others for as long as it lives', async () => {
  const mark = newMark();
  await sh('while :; do setsid sleep 300 & sleep 0.01; done', mark);
  await expect
    .poll(async () => (await findMarked({ name, value: mark })).length, patience)
    .toBeGreaterThan(5);
  await killMarked({ name, value: mark });
  expect(await findMarked({ name, value: mark })).toEqual([]);
});

it('asks before it kills', async () => {
  const mark = newMark();
  const child = await sh('trap "echo asked; exit 0" TERM; echo ready; while :; do sleep 0.05; done', mark);
  const lines: string[] = [];
  child.stdout.setEncoding('utf8').on('data', (text: string) => lines.push(text));
  await expect.poll(() => lines.join(''), patience).toContain('ready');
  expect(await signalMarked({ name, value: mark }, 'SIGTERM')).toBeGreaterThan(0);
  await child.exited;
  expect(lines.join('')).toContain('asked');
});
