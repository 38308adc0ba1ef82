// A change summary of everything a summary can hold, made the way the pipeline makes one.
import type { AttrOutcome } from '../attr-outcome.ts';
import { buildChangeSummary } from '../change-summary/build.ts';
import type { ChangeSummary } from '../change-summary/document.ts';
import type { OutputSize } from '../change-summary/sizes.ts';
import { classifyPackageChanges } from '../package-changes.ts';
import { measureRebuildImpact } from '../rebuild-impact.ts';
import { planRebuilds } from '../rebuild-plan.ts';
import { judgeJobset } from '../verdict.ts';
import { evaluateSets, type PackageSet, testNameRules } from './package-set.ts';

const before: PackageSet = {
  opensslSrc: { hash: 'openssl 3.5', hidden: true },
  openssl: { version: '3.5.0', inputs: ['opensslSrc'], aliases: ['openssl_3'] },
  curl: { version: '8.11', inputs: ['openssl'], maintainers: ['ann'], licenses: ['curl'] },
  git: { version: '2.47', inputs: ['curl', 'openssl'] },
  wget: { version: '1.24', inputs: ['openssl'] },
  nginx: { version: '1.27', inputs: ['openssl'], position: 'pkgs/nginx.nix:9' },
  legacy: { version: '0.9', inputs: ['openssl'] },
  jq: { version: '1.7', licenses: ['MIT'], maintainers: ['bob'] },
  oldTool: { version: '4' },
  parser: { version: '2.0' },
};
const after: PackageSet = {
  ...before,
  opensslSrc: { hash: 'openssl 3.6', hidden: true },
  openssl: { version: '3.6.0', inputs: ['opensslSrc'], aliases: ['openssl_3'] },
  curl: { version: '8.11', inputs: ['openssl'], maintainers: ['ann', 'cy'], licenses: ['curl'] },
  jq: { version: '1.7', licenses: ['MIT', 'CC-BY-3.0'], maintainers: ['bob'] },
  newTool: { version: '0.1', inputs: ['openssl'] },
  parser: { version: '2.0', failing: "attribute 'fetchFromGithub' missing\ndid you mean fetchFromGitHub?" },
};
delete (after as Record<string, unknown>)['oldTool'];

const log = [
  'checking for OpenSSL... yes',
  'src/event/ngx_event_openssl.c:2113:5: error: implicit declaration of function ‘SSL_get0_peer_rpk’',
  'make[1]: *** [objs/Makefile:851: objs/src/event/ngx_event_openssl.o] Error 1',
];

/** Reports on an update of a library that breaks one package which another one needs. */
export const exampleSummary = (): ChangeSummary => {
  const sets = evaluateSets(before, after);
  const plan = planRebuilds(sets);
  const nginx = { drvPath: sets.judgedDrv('nginx'), name: 'nginx-1.27', attr: 'nginx' };
  const failure: AttrOutcome = {
    state: 'failed',
    cause: 'builder-exit',
    reason: 'builder for nginx-1.27 failed with exit code 2',
    logTail: log,
    logUrl: 'https://ci.example.org/logs/nginx#L2113',
    durationMs: 81_000,
  };
  const judged = new Map<string, AttrOutcome>([
    [sets.judgedDrv('nginx'), failure],
    [sets.judgedDrv('wget'), { ...failure, state: 'dependency-failed', culprit: nginx }],
    [sets.judgedDrv('legacy'), { ...failure, logTail: ['no rule to make target'] }],
    [sets.judgedDrv('git'), { state: 'succeeded', flaky: true, durationMs: 5000 }],
  ]);
  const base = new Map<string, AttrOutcome>([[sets.baseDrv('legacy'), failure]]);
  const succeeded: AttrOutcome = { state: 'succeeded', durationMs: 1000 };
  const verdict = judgeJobset({
    plan,
    outcomes: {
      judged: (path) => judged.get(path) ?? succeeded,
      base: (path) => base.get(path) ?? succeeded,
    },
    allowEvalFailures: true,
  });
  const size = (mebibytes: number, reference: string): readonly OutputSize[] => [
    {
      output: 'out',
      narBytes: mebibytes * 1024 ** 2,
      closureBytes: mebibytes * 3 * 1024 ** 2,
      references: [`/nix/store/0123456789abcdfghijklmnpqrsvwxyz-${reference}`],
    },
  ];
  return buildChangeSummary({
    change: {
      repository: 'example/packages',
      number: 7,
      baseSha: 'b'.repeat(40),
      headSha: 'a'.repeat(40),
      judgedTree: 'c'.repeat(40),
      merged: true,
    },
    jobs: [
      {
        kind: 'judged',
        plan,
        graph: sets.graph,
        verdict,
        packageChanges: classifyPackageChanges(plan, testNameRules),
        impact: measureRebuildImpact(plan, sets.graph),
        source: { kind: 'file', file: 'default.nix', attrPath: null },
        sizes: { judged: () => size(9, 'openssl-3.6.0'), base: () => size(6, 'openssl-3.5.0') },
        sizeCheck: { maxIncreasePercent: 10 },
        notices: [{ level: 'warning', about: 'evaluation', message: 'meta of `jq` could not be read' }],
      },
    ],
    notices: [
      { level: 'warning', about: 'configuration', message: 'unknown key "jbos": did you mean "jobs"?' },
    ],
  });
};
