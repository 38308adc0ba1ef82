import { expect, it } from 'vitest';
import { loadValid } from '../config/testing/config-sources.ts';
import { type UnitMemory, warnOfUnitMemory } from './unit-memory.ts';

const warnings = async (toml: string, memory: Partial<UnitMemory>): Promise<readonly string[]> => {
  const { config } = await loadValid({ toml });
  return warnOfUnitMemory({ config, evaluates: true, boundMib: 10_240, machineMib: 65_536, ...memory });
};

const small = '[evaluation]\nworkers = 2\n[sandbox]\nmax_memory_mib = 4096\n';

it.each<[what: string, memory: Partial<UnitMemory>]>([
  ['it is enough', {}],
  ['it is just enough', { boundMib: 8492 }],
  ['nobody knows', { boundMib: null }],
  ['evaluations run elsewhere', { boundMib: 4608, evaluates: false }],
])('says nothing where %s', async (_what, memory) => {
  expect(await warnings(small, memory)).toEqual([]);
});

it('names the keys, what they come to, and the drop-in that is enough for all', async () => {
  expect(await warnings(small, { boundMib: 4607 })).toEqual([
    'evaluation.workers (2) times evaluation.max_memory_mib (4096) and what its runner takes are 8492 MiB, and the unit of ' +
      'the sandbox may have 4607 (MemoryMax=): an evaluation that needs more is ended and its change not judged; fewer ' +
      'workers do with less; write [Service] and MemoryMax=8492M into a drop-in (systemctl edit eka-ci-sandbox@)',
    'sandbox.max_memory_mib (4096) and what its runner takes are 4608 MiB, and the unit of the sandbox may have 4607 ' +
      '(MemoryMax=): a check that needs more is ended as out of memory; write [Service] and MemoryMax=8492M into a drop-in ' +
      '(systemctl edit eka-ci-sandbox@)',
  ]);
  expect(await warnings(small, { boundMib: 8491 })).toEqual([expect.stringContaining('MemoryMax=8492M')]);
  // Its runner takes more than an eighth of so little.
  const little = `${small}`.replace('4096', '512');
  expect(await warnings(little, { boundMib: 811, evaluates: false })).toEqual([
    expect.stringContaining('=812M'),
  ]);
});

it('asks for no more than the machine has', async () => {
  const large = '[evaluation]\nworkers = 64\n[sandbox]\nmax_memory_mib = 16384';
  expect(await warnings(large, {})).toEqual([
    expect.stringMatching(/^evaluation\.workers \(64\) .*the machine itself has 65536 MiB, so lower/),
    expect.stringMatching(/^sandbox\.max_memory_mib .*MemoryMax=18432M/),
  ]);
});
