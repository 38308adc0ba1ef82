#!/bin/sh
# In place of Nix's build hook, which takes 30 ms to say, for each build, that there is no other machine to build on.
echo '# decline-permanently' >&2
# Until Nix ends it: who goes while Nix still talks to it has died unexpectedly.
while read -r _; do :; done
