{ mkPackage, fetchSource, libcurl, pcre, zlib }:

mkPackage {
  pname = "git";
  version = "2.43.0";
  src = fetchSource {
    path = "git-2.43.0.src";
    sha256 = "11f7b874547d1b42fd634928beb279e810bd13fed4436bed6620d2cb72c9d406";
  };
  inputs = [ libcurl pcre zlib ];
  meta = {
    description = "Distributed version control";
    license = "gpl2";
    maintainers = [ "ada" "grace" ];
  };
}
