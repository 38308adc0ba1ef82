{ mkPackage, thumbnailer, sqlite }:

mkPackage {
  pname = "photo-album";
  version = "1.4";
  inputs = [ thumbnailer sqlite ];
  meta = {
    description = "Keeps photos in order";
    license = "gpl3";
    maintainers = [ "grace" ];
  };
}
