{ mkPackage, fetchSource, zlib }:

mkPackage {
  pname = "libpng";
  version = "1.6.40";
  src = fetchSource {
    path = "libpng-1.6.40.src";
    sha256 = "ef3cf56554fc868715f4b75d89e2090d701793dfb59e464577808c3751aabb9b";
  };
  inputs = [ zlib ];
  meta = {
    description = "PNG image library";
    license = "libpng";
    maintainers = [ "grace" "lin" ];
  };
}
