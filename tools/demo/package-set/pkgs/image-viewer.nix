{ mkPackage, libpng }:

mkPackage {
  pname = "image-viewer";
  version = "2.2";
  inputs = [ libpng ];
  meta = {
    description = "Shows images";
    license = "gpl3";
    maintainers = [ "grace" ];
  };
}
