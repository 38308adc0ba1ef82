{ mkPackage, fetchSource }:

mkPackage {
  pname = "pcre";
  version = "10.42";
  src = fetchSource {
    path = "pcre-10.42.src";
    sha256 = "b6f6d465da35e5e40f17f354e74f71e7351c88b422454d72c111ef3487b2a1f6";
  };
  inputs = [ ];
  meta = {
    description = "Regular expressions library";
    license = "bsd3";
    maintainers = [ "grace" ];
  };
}
