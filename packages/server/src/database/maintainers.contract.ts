// Contract of the port's maintainers: who was granted a package, and who waits for it.
import type { CommitSha } from '@eka-ci/core/ids';
import { beforeEach, expect, it } from 'vitest';
import type { Database } from './database.ts';

let hosts = 0;
let host: string;

export const maintainerContract = (given: () => Database): void => {
  beforeEach(() => {
    host = `forge-${++hosts}.example.org`;
  });

  it('knows maintainers by host, attribute and user id', async () => {
    const { maintainers } = given();
    const ann = {
      host,
      attr: `hello-${host}`,
      userId: 2 ** 52 + 1,
      login: 'ann',
      grantedBy: 'root',
      atMs: 1,
    };
    expect(await maintainers.add(ann)).toBe(true);
    expect(await maintainers.add({ ...ann, login: 'ann2', atMs: 2 })).toBe(false);
    expect(await maintainers.add({ ...ann, attr: `curl-${host}` })).toBe(true);
    expect(await maintainers.of(ann.attr)).toEqual([ann]);
    expect(await maintainers.attrsOf(host, ann.userId)).toEqual([`curl-${host}`, ann.attr]);
    expect(await maintainers.attrsOf(`not-${host}`, ann.userId)).toEqual([]);
    expect(await maintainers.remove(ann)).toBe(true);
    expect(await maintainers.remove(ann)).toBe(false);
    expect(await maintainers.of(ann.attr)).toEqual([]);
  });

  it('grants what was asked for, once, and keeps what was decided', async () => {
    const { maintainers } = given();
    const asked = { host, attr: `hello-${host}`, userId: 7, login: 'ann', askedAtMs: 1 };
    const request = await maintainers.request(asked);
    expect(request).toMatchObject({ ...asked, state: 'pending', decidedBy: null, decidedAtMs: null });
    expect(await maintainers.request({ ...asked, askedAtMs: 2 })).toEqual(request);
    const id = request?.id ?? 0;
    expect(await maintainers.requests({ state: 'pending', host })).toEqual([request]);
    const granted = await maintainers.decide(id, { state: 'granted', by: 'root', atMs: 3 });
    expect(granted).toMatchObject({ state: 'granted', decidedBy: 'root', decidedAtMs: 3 });
    expect(await maintainers.decide(id, { state: 'refused', by: 'eve', atMs: 4 })).toEqual(granted);
    expect(await maintainers.of(asked.attr)).toMatchObject([{ userId: 7, grantedBy: 'root', atMs: 3 }]);
    // In force; and after it was taken away it may be asked for again.
    expect(await maintainers.request(asked)).toEqual(granted);
    await maintainers.remove(asked);
    const again = await maintainers.request(asked);
    expect(again).toMatchObject({ state: 'pending' });
    expect(again?.id).toBeGreaterThan(id);
    expect(await maintainers.decide(again?.id ?? 0, { state: 'refused', by: 'root', atMs: 5 })).toMatchObject(
      {
        state: 'refused',
      },
    );
    expect(await maintainers.of(asked.attr)).toEqual([]);
    expect(await maintainers.requests({ host, userId: 7 })).toMatchObject([
      { state: 'refused' },
      { state: 'granted' },
    ]);
    expect(await maintainers.decide(2 ** 50, { state: 'granted', by: 'root', atMs: 6 })).toBeNull();
  });

  it('takes a hundred pending requests of one person, and no more', async () => {
    const { maintainers } = given();
    const asked = { host, userId: 7, login: 'ann', askedAtMs: 1 };
    for (let at = 0; at < 100; at++) {
      expect(await maintainers.request({ ...asked, attr: `p${at}` })).not.toBeNull();
    }
    expect(await maintainers.request({ ...asked, attr: 'p100' })).toBeNull();
    expect(await maintainers.request({ ...asked, attr: 'p7' })).not.toBeNull();
    expect(await maintainers.request({ ...asked, userId: 8, attr: 'p100' })).not.toBeNull();
  });

  it('keeps what a change touches as long as there is the change', async () => {
    const { maintainers, changes } = given();
    const id = `touches-${host}`;
    await changes.submit({
      ...{ id, repository: host, branch: 'b', base: null, title: 't', requestJson: '{}', atMs: 1 },
      head: 'a'.repeat(40) as CommitSha,
    });
    await maintainers.keepPackages(id, '{"a":"ü"}');
    await maintainers.keepPackages(id, '{"b":1}');
    await maintainers.keepPackages(`${id}-gone`, '{}');
    expect(await maintainers.packagesOf(id)).toBe('{"b":1}');
    expect(await maintainers.forgetPackages()).toBeGreaterThan(0);
    expect(await maintainers.packagesOf(id)).toBe('{"b":1}');
    expect(await maintainers.packagesOf(`${id}-gone`)).toBeNull();
  });
};
