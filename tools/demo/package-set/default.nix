# A small package set: every file of pkgs/ is one package, called with the packages and builders it names.
{
  system ? builtins.currentSystem,
}:
let
  support = import ./build-support.nix { inherit system; };

  call =
    scope: file:
    let
      package = import file;
    in
    package (builtins.intersectAttrs (builtins.functionArgs package) scope);

  callFolder =
    scope: folder:
    builtins.listToAttrs (
      map (file: {
        name = builtins.head (builtins.match "(.*)[.]nix" file);
        value = call scope (folder + "/${file}");
      }) (builtins.attrNames (builtins.readDir folder))
    );

  packages = callFolder (support // packages) ./pkgs;
in
packages
// {
  luaPackages = callFolder (support // packages) ./lua-packages // {
    recurseForDerivations = true;
  };

  # Old names and unfinished work, as every package set has them.
  legacy-browser = throw "legacy-browser was removed in 2023: use fetcher or news-reader";
  virtual-machine = abort "virtual-machine: no hypervisor is defined for ${system}";
  plotter = support.mkPackage {
    pname = "plotter";
    version = "0.1";
    inputs = [ packages.libpng ];
    meta = {
      description = "Plots functions";
      license = "mit";
      maintainers = [ "grace" ];
      broken = true;
    };
  };
}
