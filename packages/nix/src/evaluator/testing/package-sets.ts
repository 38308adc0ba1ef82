// Trees that the contract evaluates: a good one, one that fails in every way, a hostile one.

/** Text of a derivation that costs nothing. */
export const drv = (name: string, more = ''): string =>
  `(derivation { name = "${name}"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; ${more} })`;

/** Text of an expression that is not evaluated before the sun goes out, in constant memory. */
export const endless = `(let
    numbers = builtins.genList (n: n) 5000;
    repeat = depth: if depth == 0 then 0 else builtins.foldl' (sum: n: builtins.seq (repeat (depth - 1)) sum) 0 numbers;
  in repeat 6)`.replaceAll('\n', ' ');

const refusing = (name: string, meta: string): string =>
  `${name} = ${drv(name)} // { meta = { ${meta} }; drvPath = throw "${name} refuses"; };`;

export const packageSet = `{ system ? "x86_64-linux" }: {
  hello = ${drv('hello-1.0')} // { pname = "hello"; version = "1.0"; meta = {
    license = [ { spdxId = "MIT"; fullName = "no"; free = true; } { shortName = "custom"; } { fullName = "Apache License"; } "own words" 7 ];
    maintainers = [ { github = "ada"; name = "no"; githubId = 42; } { name = "Grace"; githubId = "43"; } { email = "x@example.org"; githubId = 0 - 44; } "plain" { githubId = 9007199254740992; } { githubId = throw "no"; } ];
    position = toString ./pkgs/hello.nix + ":7"; description = x: x; broken = { }; platforms = [ system ];
  }; };
  two = ${drv('two-2.0', 'outputs = [ "out" "dev" ];')};
  "a.b" = ${drv('dotted', 'src = ./default.nix;')};
  "quo\\"te" = ${drv('quote')};
  "line\\nbreak" = ${drv('line')};
  "\\\${dollar}" = ${drv('dollar')};
  "über" = ${drv('umlaut')};
  "with" = ${drv('keyword')};
  lying = ${drv('lying-1')} // { outPath = "/elsewhere"; outputs = [ "elsewhere" ]; name = "elsewhere"; system = "elsewhere"; };
  traced = builtins.trace "hello from the code\\nsecond line" ${drv('traced')};
  sub = { recurseForDerivations = true; x = ${drv('x')}; number = 5; deeper = { recurseForDerivations = true; inner = ${drv('inner')}; }; };
  notEntered = { y = abort "was entered"; recurseForDerivations = false; };
  function = x: x;
  number = 5;
  nothing = null;
  refuses = { recurseForDerivations = true;
    ${refusing('broken', 'broken = true;')}
    ${refusing('insecure', 'knownVulnerabilities = [ "CVE-0000-0000" ];')}
    ${refusing('unfree', 'license = { free = false; shortName = "unfree"; };')}
    ${refusing('unsupported', 'platforms = [ "m68k-linux" ];')}
  };
}
`;

export const badSet = `let
  failing = ${drv('failing')};
in {
  good = ${drv('good')};
  throws = throw "a throw: ünïcode";
  throwsLate = ${drv('late', 'x = throw "in an argument";')};
  lies = throw "infinite recursion encountered";
  asserts = assert 1 == 2; ${drv('asserts')};
  aborts = abort "an abort";
  misses = { }.foo;
  recurses = let x = x; in x;
  overflows = let f = n: 1 + f (n + 1); in f 0;
  types = 1 + "a";
  calls = ({ needed }: needed) { };
  syntax = import ./broken.nix;
  imports = import ./missing.nix;
  builds = import ${drv('built')};
  fetches = builtins.fetchurl "https://192.0.2.1/x";
  fakes = { type = "derivation"; name = "fake"; drvPath = "/etc/passwd"; };
  floats = derivation { name = "f"; system = "x"; builder = "b"; __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; };
  metaAborts = ${drv('meta1')} // { meta = abort "in meta"; };
  metaThrows = ${drv('meta2')} // { meta = throw "in meta"; };
  metaPartly = ${drv('meta3')} // { meta = { license = { spdxId = "MIT"; }; maintainers = throw "no"; position = x: x; }; };
  last = ${drv('last')};
}
`;

interface OfOthers {
  readonly confDir: string;
  /** A path of the store that is not this evaluation's. */
  readonly secret: string;
}

/** Tries to forge records, with guesses of the nonce, and to read what is the server's or somebody else's. */
export const hostileSet = ({ confDir, secret }: OfOthers): string => {
  const facts = String.raw`{\"drvPath\":\"/nix/store/00000000000000000000000000000000-forged.drv\",\"known\":true}`;
  const nonces = ['NN', '0'.repeat(32), '${builtins.getEnv "NONCE"}', ''];
  const lines = nonces.flatMap((nonce) => [
    `${nonce} 3 S 1`,
    `${nonce} 3 D 1 ${facts}`,
    `x\\n@nix {\\"action\\":\\"msg\\",\\"level\\":0,\\"msg\\":\\"trace: ${nonce} 3 D 1 {}\\"}`,
  ]);
  const traced = lines.reduce((inner, line) => `(builtins.trace "${line}" ${inner})`, drv('honest'));
  return `let
  see = path: if builtins.pathExists path then "true" else "false";
  read = path: let t = builtins.tryEval (builtins.readFile path); in if t.success then t.value else "";
in {
  honest = ${traced};
  probe = builtins.trace ("probed " + builtins.concatStringsSep " " [
    (builtins.getEnv "EKA_CI_CANARY") (builtins.getEnv "NIX_CONFIG") "conf=\${see ${confDir}/nix.conf}" "etc=\${see /etc/nix}" "home=\${see /root}" "shadow=\${see /etc/shadow}"
    "path=\${builtins.getEnv "NIX_PATH"}"
  ]) ${drv('probe')};
  beside = builtins.seq (builtins.readDir (dirOf ./.)).source ${drv('beside')};
  lists = builtins.trace (toString (builtins.attrNames (builtins.readDir builtins.storeDir))) ${drv('lists')};
  reads = builtins.seq (builtins.readFile "${secret}") ${drv('reads')};
  own = builtins.seq (builtins.readFile "\${./.}/default.nix") (import "\${./.}/more.nix");
}
`;
};
