// The hosted forge in memory is one, as far as the contract goes.
import { describe } from 'vitest';
import { hostedForgeContract } from './hosted-forge.contract.ts';
import { openFakeForgeWorld } from './testing/fake-forge-world.ts';

describe('the hosted forge in memory', () => {
  hostedForgeContract(openFakeForgeWorld);
});
