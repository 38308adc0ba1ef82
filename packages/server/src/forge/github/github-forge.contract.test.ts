// The GitHub driver is a hosted forge, on a GitHub of its own that holds each request and answer against GitHub's
// published description.
import { afterAll, afterEach, beforeAll, describe, expect } from 'vitest';
import { hostedForgeContract } from '../hosted-forge.contract.ts';
import { type GithubForgeTown, startGithubForgeTown } from '../testing/github-forge-world.ts';

describe('GitHub', () => {
  let town: GithubForgeTown;
  beforeAll(async () => {
    town = await startGithubForgeTown();
  });
  afterEach(async () => {
    expect(await town.calm()).toEqual([]);
  });
  afterAll(async () => {
    await town.stop();
  });

  hostedForgeContract(async () => town.open());
});
