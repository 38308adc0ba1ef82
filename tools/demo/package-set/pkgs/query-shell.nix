{ mkPackage, sqlite, pcre }:

mkPackage {
  pname = "query-shell";
  version = "0.9";
  inputs = [ sqlite pcre ];
  meta = {
    description = "Interactive SQL shell";
    license = "publicDomain";
    maintainers = [ "ada" ];
  };
}
