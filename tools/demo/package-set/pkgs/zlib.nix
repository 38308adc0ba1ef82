{ mkPackage, fetchSource }:

mkPackage {
  pname = "zlib";
  version = "1.3.1";
  src = fetchSource {
    path = "zlib-1.3.1.src";
    sha256 = "fec4503240e5a4025003ed0ba6269cc0a50a4504d1d42dd19676961f1d93e54d";
  };
  outputs = [ "out" "dev" ];
  inputs = [ ];
  meta = {
    description = "Compression library";
    license = "zlib";
    maintainers = [ "ada" ];
  };
}
