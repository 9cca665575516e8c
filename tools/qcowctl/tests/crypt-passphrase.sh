#!/bin/bash
# Passphrases come from standard input, from a terminal without echo, and from systemd-ask-password
# where there is none.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create_luks image 1M

# standard input, to its end
printf secret | "$QCOWCTL" key add --key-file - --new-key-file <(printf two) --iter-time 10 image
status=0
printf 'secret\n' | "$QCOWCTL" key add --key-file - --new-key-file <(printf 3) image 2>err || status=$?
[[ $status -eq $WRONG_KEY ]] || die "$status: $(cat err)"

# the agent is asked where there is no terminal
mkdir bin
cat >bin/systemd-ask-password <<'SH'
#!/bin/bash
printf '%s\n' "$@" >>asked
[[ ! -e refuse ]] || exit 1
echo "$(sed -n "$(($(wc -l <asked) / 2))p" answers)"
SH
chmod +x bin/systemd-ask-password
printf '%s\n' two three three >answers
PATH=$PWD/bin:$PATH "$QCOWCTL" key add --iter-time 10 image </dev/null
printf -- '--id=qcowctl\n%s of image\n' Passphrase 'New passphrase' 'The same passphrase again' >want
cmp asked want || die "asked: $(cat asked)"
rm asked
printf '%s\n' three four five >answers
PATH=$PWD/bin:$PATH expect "$USAGE" 'the two passphrases are not the same' key add image
rm asked
touch refuse
PATH=$PWD/bin:$PATH expect 2 'systemd-ask-password: got no passphrase' key add image
mkdir none
status=0
PATH=$PWD/none "$QCOWCTL" key add image 2>err </dev/null || status=$?
[[ $status -eq 2 ]]
grep -q 'there is no terminal to ask for a passphrase' err
grep -q 'try: --key-file FILE' err

# a terminal: nothing is echoed, and it is as before, also when the process is interrupted
python3 - "$QCOWCTL" <<'PY'
import os
import pty
import select
import signal
import sys
import termios


def run(keys, wanted):
    pid, fd = pty.fork()
    if not pid:
        os.execv(sys.argv[1], ["qcowctl", "key", "add", "--iter-time", "10", "image"])
    text, sent = b"", 0
    while True:
        try:
            if not select.select([fd], [], [], 60)[0]:
                sys.exit(f"nothing comes: {text!r}")
            got = os.read(fd, 4096)
        except OSError:
            got = b""
        if not got:
            break
        text += got
        if sent < len(keys) and text.endswith(b": ") and text.count(b" of image: ") == sent + 1:
            if termios.tcgetattr(fd)[3] & termios.ECHO:
                sys.exit("it echoes")
            os.write(fd, keys[sent])
            sent += 1
    status = os.waitpid(pid, 0)[1]
    if status != wanted or sent != len(keys):
        sys.exit(f"status {status}, {sent} of {len(keys)} keys: {text!r}")
    if any(key.strip() in text for key in keys if key.isascii() and len(key) > 1):
        sys.exit(f"it was echoed: {text!r}")
    return text


run([b"three\n", b"f\xc3\xbcnf\n", b"f\xc3\xbcnf\n"], 0)
run([b"three\n", b"a\xffb\n"], 1 << 8)
run([b"three\n", b"\n"], 1 << 8)
run([b"\x04"], 2 << 8)
run([b"\x03"], signal.SIGINT)
run([b"three\n", b"\x03"], signal.SIGINT)
PY
printf 'f\xc3\xbcnf' >key
"$TEST_CRYPT" image key 0 0 2>err || [[ $? -ne $WRONG_KEY ]] || die "$(cat err)"
