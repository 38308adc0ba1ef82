{ mkPackage, fetcher }:

mkPackage {
  pname = "uptime-check";
  version = "0.2";
  inputs = [ fetcher ];
  meta = {
    description = "Watches whether sites answer";
    license = "mit";
    maintainers = [ ];
  };
}
