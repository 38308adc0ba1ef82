{ mkPackage, image-viewer }:

mkPackage {
  pname = "screenshot-tool";
  version = "0.3";
  inputs = [ image-viewer ];
  meta = {
    description = "Takes screenshots";
    license = "mit";
    maintainers = [ "lin" ];
  };
}
