// The line of checks: nobody has it all, and whoever has least of it comes first.
import { expect, it } from 'vitest';
import { createCheckLine } from './check-line.ts';

const never = new AbortController().signal;

/** Works that run until they are told to end, by name. */
const createWorks = (places: number) => {
  const line = createCheckLine(places);
  const running = new Map<string, () => void>();
  const started: string[] = [];
  const begin = (changeId: string, name: string, rank = 1, signal = never): Promise<void> =>
    line.run(
      { changeId, rank },
      () =>
        new Promise((resolve) => {
          started.push(name);
          running.set(name, resolve);
        }),
      signal,
    );
  const end = async (name: string): Promise<void> => {
    running.get(name)?.();
    running.delete(name);
    // Turns go on in the microtasks that follow.
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { begin, end, started };
};

it('gives no change all places, and the next one to whoever runs fewest', async () => {
  const { begin, end, started } = createWorks(3);
  const all = ['1', '2', '3', '4'].map((name) => begin('greedy', name));
  await end('nobody');
  expect(started).toEqual(['1', '2']);
  all.push(begin('small', 'a'), begin('small', 'b'), begin('queue', 'first', 0));
  await end('nobody');
  expect(started).toEqual(['1', '2', 'a']);
  await end('1');
  expect(started.at(-1)).toBe('first');
  await end('2');
  await end('first');
  expect(started.slice(4)).toEqual(['3', '4']);
  for (const name of ['a', '3', '4', 'b']) await end(name);
  await Promise.all(all);
  expect(started.toSorted()).toEqual(['1', '2', '3', '4', 'a', 'b', 'first']);
});

it('lets go of who does not want to wait any more, and of a place whose work throws', async () => {
  const line = createCheckLine(2);
  const place = { changeId: 'c', rank: 1 };
  const held = Promise.withResolvers<void>();
  const first = line.run(place, () => held.promise, never);
  const cancel = new AbortController();
  const second = line.run(place, () => Promise.resolve('not run'), cancel.signal);
  cancel.abort(new Error('not wanted'));
  await expect(second).rejects.toThrow('not wanted');
  held.reject(new Error('broke'));
  await expect(first).rejects.toThrow('broke');
  expect(await line.run(place, () => Promise.resolve('ran'), never)).toBe('ran');
  await expect(line.run(place, () => Promise.resolve('no'), cancel.signal)).rejects.toThrow('not wanted');
});
