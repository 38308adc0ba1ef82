// What every driver of the database port must do. A driver's test runs it on databases of its own.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { approvalContract } from './approvals.contract.ts';
import { buildContract } from './builds.contract.ts';
import { changeContract } from './changes.contract.ts';
import { checkRunContract } from './check-runs.contract.ts';
import type { Database } from './database.ts';
import { derivationContract } from './derivations.contract.ts';
import { failureContract } from './failures.contract.ts';
import { gateContract } from './gates.contract.ts';
import { groupContract } from './groups.contract.ts';
import { hookRunContract } from './hook-runs.contract.ts';
import { jobsetContract } from './jobsets.contract.ts';
import { judgingContract } from './judging.contract.ts';
import { maintainerContract } from './maintainers.contract.ts';
import { mergeContract } from './merges.contract.ts';
import { offerContract } from './offers.contract.ts';
import { packageContract } from './packages.contract.ts';
import { privacyContract } from './privacy.contract.ts';
import { publicationContract } from './publications.contract.ts';
import { pushContract } from './pushes.contract.ts';
import { repositoryContract } from './repositories.contract.ts';
import { requestContract } from './requests.contract.ts';
import { newNode, step } from './testing/samples.ts';
import { userContract } from './users.contract.ts';

/** @param open makes an empty database that nobody else uses */
export const describeDatabase = (name: string, open: () => Promise<Database>): void => {
  describe(`the database port on ${name}`, () => {
    let database: Database;
    beforeAll(async () => {
      database = await open();
    });
    afterAll(() => database.close());
    const given = (): Database => database;

    it('has a schema', async () => {
      expect(await database.meta.schemaVersion()).toBeGreaterThan(0);
    });
    describe('derivations', () => {
      derivationContract(given);
    });
    describe('builds', () => {
      buildContract(given);
    });
    describe('packages', () => {
      packageContract(given);
    });
    describe('jobsets', () => {
      jobsetContract(given);
    });
    describe('runs of checks', () => {
      checkRunContract(given);
    });
    describe('changes', () => {
      changeContract(given);
    });
    describe('changes to judge', () => {
      judgingContract(open);
    });
    describe('changes that forges offer', () => {
      offerContract(open);
    });
    describe('changes that merge queues make', () => {
      groupContract(given);
    });
    describe('changes that people ask for', () => {
      requestContract(open);
    });
    describe('failures that are tried again', () => {
      failureContract(open);
    });
    describe('gates to be sent', () => {
      gateContract(open);
    });
    describe('repositories of hosted forges', () => {
      repositoryContract(given);
    });
    describe('runs of hooks', () => {
      hookRunContract(open);
    });
    describe('what is private', () => {
      privacyContract(given);
    });
    describe('approvals', () => {
      approvalContract(given);
    });
    describe('users', () => {
      userContract(given);
    });
    describe('merges and reviews', () => {
      mergeContract(given);
    });
    describe('maintainers', () => {
      maintainerContract(given);
    });
    describe('publications', () => {
      publicationContract(open);
    });
    describe('pushes', () => {
      pushContract(open);
    });
    describe('closing', () => {
      closingContract(open);
    });
  });
};

const closingContract = (open: () => Promise<Database>): void => {
  it('finishes what was asked before, and refuses what is asked after', async () => {
    const database = await open();
    const node = newNode();
    const before = [
      database.derivations.save([node]),
      database.builds.recordTransitions([step(node.path, null, 'queued')]),
      database.derivations.find(node.path),
    ];
    const closing = [database.close(), database.close()];
    await expect(database.derivations.find(node.path)).rejects.toMatchObject({ code: 'DATABASE_CLOSED' });
    await Promise.all(closing);
    expect((await Promise.all(before))[2]).toEqual(node);
  });
};
