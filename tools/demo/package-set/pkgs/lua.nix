{ mkPackage, fetchSource }:

mkPackage {
  pname = "lua";
  version = "5.4.6";
  src = fetchSource {
    path = "lua-5.4.6.src";
    sha256 = "6ae802063f173303caad3931dbf5de9b5f142f2acda040e45bde40391d4a1ddb";
  };
  inputs = [ ];
  meta = {
    description = "Small embeddable language";
    license = "mit";
    maintainers = [ "lin" ];
  };
}
