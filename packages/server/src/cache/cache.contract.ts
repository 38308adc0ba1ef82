// What every cache must do. A driver's test calls describeCache() with a way to make one.
import type { StorePath } from '@eka-ci/core/ids';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Cache, PushProgress } from './cache.ts';

export interface CacheSubject {
  readonly cache: Cache;
  /** Things that were built and that it does not have; each refers to the one before. */
  makeChain(): Promise<{ readonly paths: readonly StorePath[] }>;
  /** Well formed, and not in the store; null where it knows no store. */
  readonly lost: StorePath | null;
  /** False where whoever sends does not say how much. @default true */
  readonly counts?: boolean;
  remove(): Promise<void>;
}

export const describeCache = (name: string, makeSubject: () => Promise<CacheSubject>): void => {
  describe(`cache ${name}`, () => {
    let subject: CacheSubject;
    const calm = new AbortController().signal;
    const count = (number: number): number | null => (subject.counts === false ? null : number);
    beforeAll(async () => {
      subject = await makeSubject();
    }, 60_000);
    afterAll(() => subject?.remove());

    it('has nothing at first, and looks well', async () => {
      const { paths } = await subject.makeChain();
      expect(await subject.cache.present(paths, calm)).toEqual(new Set());
      expect(await subject.cache.check(calm)).toEqual({ kind: 'well', about: expect.any(String) as string });
      expect(await subject.cache.present(paths, calm)).toEqual(new Set());
    });

    it('takes a path with all that it refers to, once', async () => {
      const { paths } = await subject.makeChain();
      const root = paths.slice(-1);
      const told: PushProgress[] = [];
      const onProgress = (progress: PushProgress) => void told.push(progress);
      const first = await subject.cache.push({ paths: root, onProgress }, calm);
      expect(first).toMatchObject({ kind: 'pushed', sentPaths: count(paths.length) });
      expect(await subject.cache.present(paths, calm)).toEqual(new Set(paths));
      const numbers = told.map(({ sentPaths }) => sentPaths);
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
      if (subject.counts !== false) expect(told.at(-1)?.sentPaths).toBe(paths.length);
      const again = await subject.cache.push({ paths: root }, calm);
      expect(again).toEqual({ kind: 'pushed', sentPaths: 0, sentBytes: 0 });
    });

    it('is sent only what it lacks', async () => {
      const { paths } = await subject.makeChain();
      await subject.cache.push({ paths: paths.slice(0, -1) }, calm);
      expect(await subject.cache.present(paths, calm)).toEqual(new Set(paths.slice(0, -1)));
      expect(await subject.cache.push({ paths: paths.slice(-1) }, calm)).toMatchObject({
        kind: 'pushed',
        sentPaths: count(1),
      });
    });

    it('takes the same from two at once, and nothing from one who has nothing', async () => {
      const { paths } = await subject.makeChain();
      const request = { paths: paths.slice(-1) };
      const both = await Promise.all([subject.cache.push(request, calm), subject.cache.push(request, calm)]);
      expect(both.map(({ kind }) => kind)).toEqual(['pushed', 'pushed']);
      expect(await subject.cache.present(paths, calm)).toEqual(new Set(paths));
      expect(await subject.cache.push({ paths: [] }, calm)).toMatchObject({ kind: 'pushed' });
      expect(await subject.cache.present([], calm)).toEqual(new Set());
    });

    it('says which path is not in the store', async () => {
      if (subject.lost === null) return;
      const { paths } = await subject.makeChain();
      const asked = subject.cache.push({ paths: [...paths, subject.lost] }, calm);
      expect(await asked).toEqual({
        kind: 'refused',
        code: 'no-such-path',
        why: expect.stringContaining(subject.lost) as string,
      });
    });

    it('does nothing for one who does not want it any more', async () => {
      const { paths } = await subject.makeChain();
      const reason = new Error('enough');
      const ended = AbortSignal.abort(reason);
      await expect(subject.cache.push({ paths }, ended)).rejects.toBe(reason);
      await expect(subject.cache.present(paths, ended)).rejects.toBe(reason);
      expect(await subject.cache.present(paths, calm)).toEqual(new Set());
    });
  });
};
