// Thousands of deliveries, and the process killed in the middle: what was acknowledged is done by the next one, once.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readLines, startChild } from '@eka-ci/process';
import { expect, it } from 'vitest';
import { openSqliteDatabase } from '../../database/kysely/sqlite/sqlite-database.ts';
import { createFakeHostedForge } from '../../forge/hosted-forge.fake.ts';
import { createHostedIntake } from '../hosted-intake.ts';
import { fillForge, isIdle, until, wantedOf } from './testing/intake-world.ts';

/** Ten thousand take a few seconds. */
const [deliveries, changes, repositories] = [Number(process.env['EKA_CI_TEST_DELIVERIES'] ?? 10_000), 10, 10];

it('does after kill -9 what it had acknowledged, each effect once', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'eka-ci-intake-'));
  const path = join(folder, 'sqlite.db');
  try {
    const child = await startChild({
      command: process.execPath,
      args: [
        join(import.meta.dirname, 'testing/take-until-killed.ts'),
        path,
        ...[deliveries, changes, repositories].map(String),
      ],
      env: {},
    });
    const acknowledged: string[] = [];
    for await (const line of readLines(child.stdout)) {
      acknowledged.push(line);
      if (acknowledged.length === deliveries / 4) child.end('SIGKILL');
    }
    expect((await child.exited).signal).toBe('SIGKILL');
    expect(acknowledged.length).toBeGreaterThanOrEqual(deliveries / 4);
    const database = await openSqliteDatabase({ path, durability: 'process-death' });
    // The last line may have been cut short by the kill; a cut key is no key.
    const kept = await database.deliveries.receive(
      acknowledged.slice(0, -1).map((key) => ({ key, payload: 'null', receivedAtMs: 1 })),
    );
    expect(kept.filter((one) => one === 'new')).toEqual([]);
    const left = await database.deliveries.unfinished(100_000);

    const forge = createFakeHostedForge();
    const errors: unknown[] = [];
    const intake = createHostedIntake({
      forges: [forge],
      database,
      baselines: [],
      clock: Date.now,
      onTaken: () => {},
      onEvent: (event) => {
        if ('error' in event) errors.push(event.error);
      },
    });
    fillForge(forge, { changes, repositories });
    // Nothing is found by looking: all that is done is what was acknowledged.
    forge.listings = async function* () {};
    await intake.start();
    await until(() => isIdle(intake));
    expect([await database.deliveries.unfinished(10), errors]).toEqual([[], []]);
    expect(left.length).toBeGreaterThan(0);
    expect(left.length).toBeLessThan(deliveries);
    const { changes: rows, nextCursor } = await database.changes.list({ kinds: ['offered'], limit: 1000 });
    // One row for each, whoever of both made it: nothing was superseded, so nothing happened twice.
    const found = rows.map(({ repository, number, head, baseBranch }) => [
      repository,
      number,
      head,
      baseBranch,
    ]);
    expect(nextCursor).toBeNull();
    expect(found.map(String).toSorted()).toEqual(wantedOf(forge).map(String).toSorted());
    await intake.stop();
    await database.close();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
