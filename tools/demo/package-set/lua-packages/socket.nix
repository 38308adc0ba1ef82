{ mkPackage, lua, libssl }:

mkPackage {
  pname = "lua-socket";
  version = "3.0";
  inputs = [ lua libssl ];
  meta = {
    description = "Sockets for Lua";
    license = "mit";
    maintainers = [ "lin" ];
  };
}
