{ mkPackage, lua }:

mkPackage {
  pname = "lua-inspect";
  version = "3.1";
  inputs = [ lua ];
  meta = {
    description = "Prints Lua tables";
    license = "mit";
    maintainers = [ "lin" ];
  };
}
