{ mkPackage, fetchSource }:

mkPackage {
  pname = "sqlite";
  version = "3.45.1";
  src = fetchSource {
    path = "sqlite-3.45.1.src";
    sha256 = "0b5474b5fbb3e8d8545fdfc70a37d7c243cbe89d5e20cecc418ca93556827248";
  };
  inputs = [ ];
  meta = {
    description = "Embedded SQL database";
    license = "publicDomain";
    maintainers = [ "ada" ];
  };
}
