"""The C and shell rules, in one place.

Built into Bazel 4 to 7. Bazel 8 and later keep them in rules_cc and rules_shell:
load them here from there, and nothing else has to change.
"""

cc_binary = native.cc_binary
cc_library = native.cc_library
cc_test = native.cc_test
sh_test = native.sh_test
sh_binary = native.sh_binary
