// Approvals, as every database driver must keep them.
import { expect, it } from 'vitest';
import type { Database } from './database.ts';

const author = { host: 'forge.example', userId: 2 ** 52, login: 'bob', approvedBy: 'alice', atMs: 5000 };

export const approvalContract = (database: () => Database): void => {
  it('keeps authors who need no approval, by their number, until that is withdrawn', async () => {
    const { approvals } = database();
    const key = { host: author.host, userId: author.userId };
    expect(await approvals.isApproved(key)).toBe(false);
    expect(await approvals.approveAuthor(author)).toBe(true);
    // What was said first stays.
    expect(await approvals.approveAuthor({ ...author, login: 'robert', atMs: 9000 })).toBe(false);
    expect(await approvals.isApproved(key)).toBe(true);
    expect(await approvals.isApproved({ ...key, host: 'other.example' })).toBe(false);
    const listed = await approvals.list();
    expect(listed.filter(({ userId }) => userId === author.userId)).toEqual([author]);
    expect([await approvals.withdraw(key), await approvals.withdraw(key)]).toEqual([true, false]);
    expect(await approvals.isApproved(key)).toBe(false);
  });

  it('keeps that a run is held until it is let go, and forgets what nobody lets go', async () => {
    const { approvals } = database();
    const run = { host: author.host, runId: 2 ** 52 + 1 };
    expect(await approvals.isRunHeld(run)).toBe(false);
    await approvals.holdRun({ ...run, atMs: 1000 });
    await approvals.holdRun({ ...run, atMs: 2000 });
    expect(await approvals.isRunHeld(run)).toBe(true);
    expect(await approvals.isRunHeld({ ...run, host: 'other.example' })).toBe(false);
    for (const _ of [1, 2]) await approvals.releaseRun(run);
    expect(await approvals.isRunHeld(run)).toBe(false);
    await approvals.holdRun({ ...run, atMs: 1000 });
    expect(await approvals.forgetRuns(1000)).toBe(0);
    expect(await approvals.forgetRuns(1001)).toBeGreaterThan(0);
    expect(await approvals.isRunHeld(run)).toBe(false);
  });
};
