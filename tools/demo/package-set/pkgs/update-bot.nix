{ mkPackage, package-index }:

mkPackage {
  pname = "update-bot";
  version = "1.0";
  inputs = [ package-index ];
  meta = {
    description = "Proposes version bumps";
    license = "asl20";
    maintainers = [ "mary" ];
  };
}
