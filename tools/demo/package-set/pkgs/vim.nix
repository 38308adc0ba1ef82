{ mkPackage, fetchSource, lua }:

mkPackage {
  pname = "vim";
  version = "9.1.0";
  src = fetchSource {
    path = "vim-9.1.0.src";
    sha256 = "4d0db0edb1714db50fd4a132dcfc53073003d1657a2baeeb964d677539ac9c6f";
  };
  inputs = [ lua ];
  meta = {
    description = "Text editor";
    license = "vim";
    maintainers = [ "lin" ];
  };
}
