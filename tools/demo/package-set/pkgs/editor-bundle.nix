{ mkPackage, vim, git }:

mkPackage {
  pname = "editor-bundle";
  version = "2024.1";
  inputs = [ vim git ];
  meta = {
    description = "An editor with everything around it";
    license = "mit";
    maintainers = [ "lin" ];
  };
}
