// The environment of a development shell as a derivation: the shell's own, with a builder that writes down what it sees.
// Building it runs what building the shell would run before its phases, in the same confinement, and nothing else.
import { quoteNixString } from './attr-path.ts';

/**
 * Of the build, and of no use or in the way where the environment is taken up; HOME and TMPDIR are whoever's that is.
 * PATH goes where the derivation has none: Nix says so by a path that is none.
 */
const ofTheBuild = [
  ...['HOME', 'PWD', 'OLDPWD', 'SHLVL', 'TERM', 'TMP', 'TMPDIR', 'TEMP', 'TEMPDIR', '_'],
  ...['NIX_BUILD_TOP', 'NIX_LOG_FD', 'NIX_ENFORCE_PURITY', 'out', 'outputs', 'builder'],
];

// In what every shell of POSIX reads; where attributes are structured only bash can build the shell at all. What is
// written is read again by the same shell: it is named there, so that it stays as long as what it is to read.
const captureScript = `
if [ -e .attrs.sh ]; then . ./.attrs.sh; fi
if [ -n "\${NIX_ATTRS_SH_FILE:-}" ] && [ -e "$NIX_ATTRS_SH_FILE" ]; then . "$NIX_ATTRS_SH_FILE"; fi
if [ -z "\${out:-}" ]; then eval 'out=\${outputs[out]}'; fi
eka_ci_reader=\${builder:-}
if [ -n "\${stdenv:-}" ] && [ -e "$stdenv/setup" ]; then . "$stdenv/setup"; fi
set +eu
trap - EXIT
if [ -n "\${shellHook:-}" ]; then export shellHook; fi
if [ "\${PATH:-}" = /path-not-set ]; then unset PATH; fi
if [ "\${SSL_CERT_FILE:-}" = /no-cert-file.crt ]; then unset SSL_CERT_FILE; fi
if [ "\${NIX_SSL_CERT_FILE:-}" = /no-cert-file.crt ]; then unset NIX_SSL_CERT_FILE; fi
eka_ci_captured=$out
unset ${ofTheBuild.join(' ')}
{ export -p; echo ": '$eka_ci_reader'"; } > "$eka_ci_captured"
`;

/** What would keep the shell's output from being a text that refers to all it needs. */
const dropped = [
  ...['outputHash', 'outputHashAlgo', 'outputHashMode', '__contentAddressed', 'outputChecks'],
  ...['allowedReferences', 'allowedRequisites', 'disallowedReferences', 'disallowedRequisites'],
  'exportReferencesGraph',
];

/** Bindings of `capture`, which takes the value of a shell; `b` is builtins. */
export const captureFunction = `
  capture = shell:
    if !(b.isAttrs shell && (shell.type or null) == "derivation" && shell ? drvAttrs)
    then throw "a development shell must be a derivation, and this is a value of type \${b.typeOf shell}"
    else derivation (b.removeAttrs shell.drvAttrs [ ${dropped.map(quoteNixString).join(' ')} ] // {
      name = "\${shell.drvAttrs.name}-env";
      outputs = [ "out" ];
      args = [ "-c" ${quoteNixString(captureScript)} ];
    });`;
