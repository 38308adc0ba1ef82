{ mkPackage, fetchSource, zlib }:

mkPackage {
  pname = "libxml";
  version = "2.12.4";
  src = fetchSource {
    path = "libxml-2.12.4.src";
    sha256 = "6831cf2c05ac1a9fad574ddb90d377d2218c93422702b502b1d16dd3d97203be";
  };
  inputs = [ zlib ];
  meta = {
    description = "XML parser";
    license = "mit";
    maintainers = [ ];
  };
}
