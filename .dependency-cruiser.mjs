// Which folder may import which: ARCHITECTURE.md draws it, this file holds it. Type-only imports count.
// Every rule has a planted violation in tools/check/boundaries.test.ts.
const server = '^packages/server/src';
const port = `${server}/(?:forge|git|builder|cache|sandbox|database)`;
const aPort = `${server}/(forge|git|builder|cache|sandbox|database)`;
const testCode = '\\.(test|contract|fake)\\.ts$|/testing/';
/** The only files that name drivers: they put the program together. */
const compositionRoot = `${server}/((start-)?server|open-(cache|evaluator|sandbox))\\.ts$`;

/** One forbidden arrow. `except` takes files out of the sources, `allowed` out of the targets. */
const forbid = (name, { from, except, to, allowed }) => ({
  name,
  severity: 'error',
  from: { path: from, ...(except && { pathNot: except }) },
  to: { path: to, ...(allowed && { pathNot: allowed }) },
});

/** A package's imports among ours. Where tests use it, a fake or a builder of another package is fine. */
const packageImports = (name, allowed) =>
  forbid(`${name}-imports-only-${['itself', ...allowed].join('-')}`, {
    from: `^packages/${name}/`,
    to: `^packages/(?!(${[name, ...allowed].join('|')})/)`,
  });

export default {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'nothing-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    forbid('core-is-pure', {
      from: '^packages/core/',
      except: testCode,
      to: '.',
      allowed: '^packages/core/',
    }),
    packageImports('core', []),
    packageImports('process', []),
    packageImports('nix', ['core', 'process']),
    packageImports('protocol', ['core']),
    packageImports('server', ['core', 'nix', 'process', 'protocol']),
    packageImports('cli', ['process', 'protocol']),
    {
      name: 'packages-are-imported-by-name',
      severity: 'error',
      from: { path: '^(packages/[^/]+|fakes|e2e|bench|tools)/' },
      to: { path: '^packages/', pathNot: '^$1/', dependencyTypes: ['local'] },
    },
    forbid('packages-stand-alone', { from: '^packages/', to: '^(e2e|bench|tools)/' }),
    forbid('only-tests-and-tools-see-fakes', { from: '^(packages|bench)/', except: testCode, to: '^fakes/' }),
    forbid('fakes-import-only-process', {
      from: '^fakes/',
      to: '^(packages|e2e|bench|tools)/',
      allowed: '^packages/process/',
    }),
    forbid('tools-are-below-e2e-and-bench', { from: '^tools/', to: '^(e2e|bench)/' }),
    forbid('lib-knows-no-domain', { from: `${server}/lib/`, to: '^packages/', allowed: `${server}/lib/` }),
    forbid('config-is-below-ports', {
      from: `${server}/config/`,
      to: `${server}/`,
      allowed: `${server}/(config|lib)/`,
    }),
    forbid('credentials-are-below-ports', {
      from: `${server}/credentials/`,
      to: `${server}/`,
      allowed: `${server}/(credentials|config|lib)/`,
    }),
    forbid('only-credentials-see-sources', {
      from: `${server}/`,
      except: `${server}/credentials/|${testCode}`,
      to: `${server}/credentials/sources/`,
    }),
    forbid('ports-are-below-pipeline', {
      from: `${port}/`,
      to: `${server}/`,
      allowed: `${port}/|${server}/(credentials|config|lib)/`,
    }),
    forbid('ports-ignore-each-other', {
      from: `${aPort}/`,
      except: testCode,
      to: `${port}/`,
      allowed: `${server}/$1/`,
    }),
    forbid('drivers-ignore-each-other', {
      from: `${aPort}/([^/]+)/`,
      except: `${testCode}|/kysely/`,
      to: `${server}/$1/[^/]+/`,
      allowed: `${server}/$1/$2/`,
    }),
    forbid('kysely-sees-only-its-migrations', {
      from: `${server}/database/kysely/`,
      except: testCode,
      to: `${server}/database/[^/]+/`,
      allowed: `${server}/database/(kysely|migrations)/`,
    }),
    forbid('only-composition-roots-see-drivers', {
      from: `${server}/`,
      except: `${testCode}|${compositionRoot}|${port}/[^/]+/`,
      to: `${port}/[^/]+/`,
      allowed: testCode,
    }),
    forbid('pipeline-is-below-http', {
      from: `${server}/pipeline/`,
      to: `${server}/`,
      allowed: `${server}/(pipeline|credentials|config|lib)/|${port}/`,
    }),
    forbid('auth-is-beside-pipeline', {
      from: `${server}/auth/`,
      to: `${server}/`,
      allowed: `${server}/(auth|credentials|config|lib)/|${port}/`,
    }),
    forbid('http-is-below-composition', { from: `${server}/http/`, to: `${server}/(wiring/|[^/]+$)` }),
    forbid('wiring-is-below-composition', { from: `${server}/wiring/`, to: `${server}/(commands/|[^/]+$)` }),
    forbid('production-imports-no-test-code', {
      from: '^packages/',
      except: testCode,
      to: `${testCode}|(^|/)node_modules/(vitest|fast-check)/`,
    }),
  ],
  options: {
    // TypeScript 7 has no compiler API to embed: with the default parser the tool sees no modules and is content.
    parser: 'swc',
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.base.json' },
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '/node_modules/\\.cache/' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default'],
      extensions: ['.ts', '.mjs', '.js'],
    },
  },
};
