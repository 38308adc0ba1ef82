{ mkPackage, fetcher, sqlite }:

mkPackage {
  pname = "package-index";
  version = "3.1";
  inputs = [ fetcher sqlite ];
  meta = {
    description = "Searchable index of packages";
    license = "asl20";
    maintainers = [ "mary" ];
  };
}
