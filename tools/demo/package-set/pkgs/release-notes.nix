{ mkPackage, git }:

mkPackage {
  pname = "release-notes";
  version = "1.1";
  inputs = [ git ];
  meta = {
    description = "Writes release notes from a history";
    license = "mit";
    maintainers = [ "ada" ];
  };
}
