# The two builders of this set: one downloads a source, one builds a package with nothing but /bin/sh.
{ system }:
let
  mirror = import ./mirror.nix;
  licenses = import ./licenses.nix;
  people = import ./maintainers.nix;
in
{
  inherit mirror;

  # Downloads `path` from the mirror. The hash decides what it is; where it came from does not matter.
  fetchSource =
    {
      path,
      sha256,
      from ? mirror.url,
    }:
    derivation {
      name = path;
      system = "builtin";
      builder = "builtin:fetchurl";
      url = "${from}/${path}";
      outputHashMode = "flat";
      outputHashAlgo = "sha256";
      outputHash = sha256;
      preferLocalBuild = true;
      unpack = false;
      executable = false;
      urls = [ "${from}/${path}" ];
    };

  mkPackage =
    {
      pname,
      version,
      src ? null,
      inputs ? [ ],
      outputs ? [ "out" ],
      buildPhase ? "",
      meta,
    }:
    let
      name = "${pname}-${version}";
      package = derivation {
        inherit
          name
          pname
          version
          system
          src
          inputs
          outputs
          buildPhase
          ;
        builder = "/bin/sh";
        args = [
          "-e"
          ./build.sh
        ];
      };
      refused = throw "${name} is marked as broken";
      refusal =
        if meta.broken or false then
          {
            drvPath = refused;
            outPath = refused;
          }
        else
          { };
    in
    package
    // {
      inherit pname version;
      meta = meta // {
        license = licenses.${meta.license};
        maintainers = map (handle: people.${handle}) meta.maintainers;
        broken = meta.broken or false;
      };
    }
    // refusal;
}
