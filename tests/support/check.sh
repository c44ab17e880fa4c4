#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Stands in for `latecall check` (tests/gate_child.rs): does what the name of the subject says, word by word.
#
#   tells          writes the lines of the file that --emitter names
#   says_hello     writes a line that is no message
#   complains      writes two lines to the standard error
#   exits_N        exits with this code
#   dies_SIGNAL    dies of this signal
#   stays          writes its process's number to the file that --emitter names, and never ends
while [ $# -gt 0 ]; do
  case $1 in
    --subject) subject=$2 ;;
    --emitter) file=$2 ;;
  esac
  shift
done
for word in $subject; do
  case $word in
    tells) cat "$file" ;;
    says_hello) echo hello ;;
    complains) printf 'first\nsecond\n' >&2 ;;
    exits_*) exit "${word#exits_}" ;;
    dies_*) kill -s "${word#dies_}" $$ ;;
    stays) echo $$ >"$file" && exec tail -f /dev/null ;;
  esac
done
