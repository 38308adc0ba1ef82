{ mkPackage, fetchSource, libssl, zlib }:

mkPackage {
  pname = "libcurl";
  version = "8.5.0";
  src = fetchSource {
    path = "libcurl-8.5.0.src";
    sha256 = "95d3cb5bf690e10967bae60698ea080217996d30182eff446728c32e52c922d5";
  };
  inputs = [ libssl zlib ];
  meta = {
    description = "URL transfer library";
    license = "curl";
    maintainers = [ "mary" ];
  };
}
