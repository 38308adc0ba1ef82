import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ErrorBody } from '@eka-ci/protocol/error';
import { HookRunPage } from '@eka-ci/protocol/hook';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newNode, newPath } from '../database/testing/samples.ts';
import { ownerKeyOf } from '../pipeline/privacy/private-derivations.ts';
import type { Visible } from '../pipeline/privacy/visibility.ts';
import { head, hookLogText, type Served, serve } from './testing/served.ts';

let served: Served;
beforeAll(async () => {
  served = await serve();
});
afterAll(() => served.close());

const codeOf = async (url: string) => {
  const answer = await served.app.inject(url);
  return [answer.statusCode, ErrorBody.parse(answer.json()).error.code];
};

describe('hooks of a derivation', () => {
  it('are told newest first, with what each was for and where its log is', async () => {
    const answer = await served.app.inject(`/v1/drvs/${served.drv}/hooks`);
    const { total, runs } = HookRunPage.parse(answer.json());
    const cause = { hook: 'notify', repository: 'example/packages', branch: 'pull/7', job: 'packages' };
    const logPath = `/v1/logs/${served.drv}/hooks/notify?attempt=2`;
    expect(total).toBe(2);
    expect(runs).toEqual([
      expect.objectContaining({ ...cause, attempt: 3, state: 'waiting', startedAtMs: null, logPath: null }),
      expect.objectContaining({
        ...cause,
        attempt: 2,
        state: 'failed',
        exitStatus: 3,
        commit: head,
        logPath,
      }),
    ]);
    const { nextCursor } = HookRunPage.parse(
      (await served.app.inject(`/v1/drvs/${served.drv}/hooks?limit=1`)).json(),
    );
    const next = await served.app.inject(`/v1/drvs/${served.drv}/hooks?limit=1&cursor=${nextCursor}`);
    expect(HookRunPage.parse(next.json()).runs).toMatchObject([{ attempt: 2 }]);
  });

  it('are none of a derivation that has none, and not found of one that is not known', async () => {
    const path = newPath('quiet-1.0');
    await served.database.derivations.save([newNode([], { path })]);
    const answer = await served.app.inject(`/v1/drvs/${path.slice('/nix/store/'.length)}/hooks`);
    expect(answer.json()).toEqual({ total: 0, runs: [], nextCursor: null });
    expect(await codeOf(`/v1/drvs/${'0'.repeat(32)}-unknown.drv/hooks`)).toEqual([404, 'DRV_NOT_FOUND']);
    expect(await codeOf('/v1/drvs/unknown/hooks')).toEqual([400, 'DRV_INVALID']);
  });

  it('have logs that come as those of builds do', async () => {
    const url = `/v1/logs/${served.drv}/hooks/notify`;
    const whole = await served.app.inject(url);
    expect([whole.body, whole.headers['content-type']]).toEqual([hookLogText, 'text/plain; charset=utf-8']);
    expect((await served.app.inject(`${url}?attempt=2`)).body).toBe(hookLogText);
    const part = await served.app.inject({ url, headers: { range: 'bytes=5-7' } });
    expect([part.statusCode, part.body]).toEqual([206, hookLogText.slice(5, 8)]);
    const page = await served.app.inject({ url, headers: { accept: 'text/html' } });
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(page.body).toContain(`/v1/logs/${served.drv}/hooks/notify?attempt=2&amp;format=text`);
    const size = await served.app.inject({ url, method: 'HEAD' });
    expect([size.body, size.headers['content-length']]).toEqual(['', String(hookLogText.length)]);
  });

  it('have no log where none ran', async () => {
    const logs = `/v1/logs/${served.drv}/hooks`;
    expect(await codeOf(`${logs}/notify?attempt=3`)).toEqual([404, 'LOG_NOT_FOUND']);
    expect(await codeOf(`${logs}/sign`)).toEqual([404, 'LOG_NOT_FOUND']);
    expect(await codeOf(`/v1/logs/${'0'.repeat(32)}-unknown.drv/hooks/notify`)).toEqual([
      404,
      'LOG_NOT_FOUND',
    ]);
    for (const hook of ['..%2f..%2fetc', '-x', 'a%00b', 'x'.repeat(101)]) {
      expect((await served.app.inject(`${logs}/${hook}`)).statusCode).toBe(400);
    }
  });

  it('are hidden with the change that they ran for', async () => {
    const owner = ownerKeyOf({ host: 'github.com', repositoryId: 1 });
    const visible: Visible = {
      ownerOf: (repository: string) => (repository === 'example/packages' ? owner : null),
      ownersOf: () => null,
      owners: () => [
        {
          ...{ key: owner, host: 'github.com', repositoryId: 1 },
          ...{ name: 'example/packages', keptNames: ['example/packages'] },
        },
      ],
      aside: () => [],
      hidesDerivations: () => false,
    };
    const other = await serve({ visible });
    const runs = async () =>
      HookRunPage.parse((await other.app.inject(`/v1/drvs/${other.drv}/hooks`)).json()).runs;
    expect(await runs()).toEqual([]);
    expect((await other.app.inject(`/v1/logs/${other.drv}/hooks/notify`)).statusCode).toBe(404);
    await other.close();
  });

  it('say so where a log was removed', async () => {
    await rm(join(served.logsDir, 'ab/curl.hook-notify.2.log'));
    expect(await codeOf(`/v1/logs/${served.drv}/hooks/notify`)).toEqual([404, 'LOG_NOT_FOUND']);
  });
});
