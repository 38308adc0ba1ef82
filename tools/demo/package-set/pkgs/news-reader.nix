{ mkPackage, fetcher, libxml }:

mkPackage {
  pname = "news-reader";
  version = "5.6";
  inputs = [ fetcher libxml ];
  meta = {
    description = "Reads feeds";
    license = "gpl3";
    maintainers = [ "ada" ];
  };
}
