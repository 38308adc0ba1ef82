{ mkPackage, fetchSource, libpng }:

mkPackage {
  pname = "thumbnailer";
  version = "0.7.3";
  src = fetchSource {
    path = "thumbnailer-0.7.3.src";
    sha256 = "18381f4eca5e20e05edb372f5b5c4f01195d246d95cb9d30d936be57fd269e40";
  };
  inputs = [ libpng ];
  meta = {
    description = "Makes thumbnails of images";
    license = "gpl3";
    maintainers = [ "grace" ];
  };
}
