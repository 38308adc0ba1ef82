# Builds one package: shows its source, runs its build phase, installs a file that names its inputs.
phase() {
  echo "@nix { \"action\": \"setPhase\", \"phase\": \"$1\" }" >&2
}

if [ -n "$src" ]; then
  phase unpackPhase
  echo "unpacking $src"
  while read -r line; do echo "  $line"; done <"$src"
fi

phase buildPhase
echo "building $name"
eval "$buildPhase"

phase installPhase
for output in $outputs; do
  eval "target=\$$output"
  echo "installing $target"
  {
    echo "$name ($output)"
    for input in $inputs; do echo "uses $input"; done
  } >"$target"
done
