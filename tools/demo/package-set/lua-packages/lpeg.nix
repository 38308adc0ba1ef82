{ mkPackage, fetchSource, lua }:

mkPackage {
  pname = "lua-lpeg";
  version = "1.1.0";
  src = fetchSource {
    path = "lua-lpeg-1.1.0.src";
    sha256 = "a83f9ebffb20114ca2fc25b18a7c350a6d207066f3867fb00e79229b2dee2dde";
  };
  inputs = [ lua ];
  meta = {
    description = "Parsing library for Lua";
    license = "mit";
    maintainers = [ "lin" ];
  };
}
