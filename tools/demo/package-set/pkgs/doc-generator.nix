{ mkPackage, fetchSource, libpng, libxml }:

mkPackage {
  pname = "doc-generator";
  version = "4.0.1";
  src = fetchSource {
    path = "doc-generator-4.0.1.src";
    sha256 = "c428e7050383f6a1a5f6e49297771b4fbf852fc9f899da7284c1091d6ad1200e";
  };
  inputs = [ libpng libxml ];
  buildPhase = ''
    echo "rendering the manual"
    echo "error: cannot open font 'manual.ttf'"
    exit 1
  '';
  meta = {
    description = "Renders manuals from sources";
    license = "mit";
    maintainers = [ "lin" ];
  };
}
