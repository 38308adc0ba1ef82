{ mkPackage, fetchSource, libssl }:

mkPackage {
  pname = "fetcher";
  version = "1.9.2";
  src = fetchSource {
    path = "fetcher-1.9.2.src";
    sha256 = "9ab5ae1f744cd6face94a70841475b9633f47592d292f5131a936fa0d6bc9bbb";
  };
  inputs = [ libssl ];
  meta = {
    description = "Fetches files over TLS";
    license = "gpl3";
    maintainers = [ "mary" ];
  };
}
