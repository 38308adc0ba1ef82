{ mkPackage, fetchSource, zlib }:

mkPackage {
  pname = "libssl";
  version = "1.1.1";
  src = fetchSource {
    path = "libssl-1.1.1.src";
    sha256 = "b751b345e7d999ecf8414137c15673341cfec9b030c0d7ed67a315684bd63f48";
  };
  inputs = [ zlib ];
  meta = {
    description = "TLS library";
    license = "asl20";
    maintainers = [ "mary" ];
  };
}
