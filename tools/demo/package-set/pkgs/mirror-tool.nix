{ mkPackage, fetcher }:

mkPackage {
  pname = "mirror-tool";
  version = "0.8";
  inputs = [ fetcher ];
  meta = {
    description = "Mirrors download sites";
    license = "gpl3";
    maintainers = [ "mary" ];
  };
}
