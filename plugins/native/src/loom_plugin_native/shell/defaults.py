"""Programs that can neither run others nor write files, and the options with which they cannot.

Left out with care: what writes (`uniq IN OUT`, `sort -o`), runs something (`diff -l`, `sort
--compress-program`), reads its arguments from a file (`wc --files0-from`, `date -f`), sets the
clock (`date -s`) or never ends (`tail -f`).
"""

from __future__ import annotations

from collections.abc import Mapping

from loom_plugin_native.shell.grammar import Grammar


def _grammar(options: str, **fields: int | str) -> Grammar:
    return Grammar(options=tuple(options.split()), **fields)  # type: ignore[arg-type]  # as typed there


_DIGEST = _grammar("-b -t -z --binary --text --tag --zero")

DEFAULTS: Mapping[str, Grammar] = {
    "b2sum": _DIGEST,
    "basename": _grammar("-a -s= -z --multiple --suffix= --zero"),
    "cat": _grammar(
        "-A -b -e -E -n -s -t -T -v --show-all --number-nonblank --show-ends --number "
        "--squeeze-blank --show-tabs --show-nonprinting"
    ),
    "cksum": _grammar(""),
    "cmp": _grammar(
        "-b -i= -l -n= -s --print-bytes --ignore-initial= --verbose --bytes= --silent --quiet"
    ),
    "comm": _grammar("-1 -2 -3 -z --check-order --nocheck-order --output-delimiter= --total"),
    "cut": _grammar(
        "-b= -c= -d= -f= -n -s -z --bytes= --characters= --delimiter= --fields= --complement "
        "--only-delimited --output-delimiter="
    ),
    "date": _grammar(
        "-d= -r= -R -u --date= --reference= --rfc-email --rfc-3339= --utc --iso-8601=?",
        operands=1,
        begins="+",
    ),
    "df": _grammar(
        "-a -B= -h -H -i -k -l -P -t= -T -x= --all --block-size= --human-readable --si --inodes "
        "--local --portability --type= --print-type --exclude-type= --total"
    ),
    "diff": _grammar(
        "-a -b -B -c -C= -d -e -i -n -N -q -r -s -t -u -U= -w -x= -y -Z --brief --context=? "
        "--exclude= --ignore-all-space --ignore-blank-lines --ignore-case --ignore-space-change "
        "--minimal --new-file --no-dereference --recursive --report-identical-files "
        "--side-by-side --strip-trailing-cr --suppress-common-lines --text --unified=? --width="
    ),
    "dirname": _grammar("-z --zero"),
    "du": _grammar(
        "-0 -a -b -B= -c -d= -D -h -H -k -l -L -m -P -s -S -t= -x --all --apparent-size "
        "--block-size= --bytes --total --max-depth= --human-readable --si --inodes --summarize "
        "--separate-dirs --threshold= --time=? --time-style= --exclude= --one-file-system"
    ),
    "fold": _grammar("-b -s -w= --bytes --spaces --width="),
    "grep": _grammar(
        "-a -A= -b -B= -c -C= -e= -E -F -G -h -H -i -I -l -L -m= -n -o -q -r -R -s -v -w -x -z "
        "-NUM --after-context= --before-context= --context= --count --regexp= --extended-regexp "
        "--fixed-strings --basic-regexp --no-filename --with-filename --ignore-case "
        "--files-with-matches --files-without-match --max-count= --line-number --only-matching "
        "--quiet --recursive --no-messages --invert-match --word-regexp --line-regexp --include= "
        "--exclude= --exclude-dir= --color=? --binary-files= --text"
    ),
    "head": _grammar("-c= -n= -q -v -z -NUM --bytes= --lines= --quiet --verbose"),
    "ls": _grammar(
        "-1 -a -A -b -B -c -C -d -f -F -g -G -h -H -i -I= -k -l -L -m -n -N -o -p -q -Q -r -R -s "
        "-S -t -u -U -v -w= -x -X --all --almost-all --author --block-size= --classify=? --color=? "
        "--directory --file-type --format= --full-time --group-directories-first --hide= "
        "--human-readable --ignore= --inode --no-group --numeric-uid-gid --recursive --reverse "
        "--si --size --sort= --time= --time-style="
    ),
    "md5sum": _DIGEST,
    "nl": _grammar("-b= -d= -f= -h= -i= -l= -n= -p -s= -v= -w= --body-numbering= --number-width="),
    "od": _grammar("-A= -c -j= -N= -t= -v -x --address-radix= --skip-bytes= --read-bytes="),
    "paste": _grammar("-d= -s -z --delimiters= --serial"),
    "pwd": _grammar("-L -P"),
    "readlink": _grammar("-e -f -m -n -z --canonicalize --canonicalize-existing"),
    "realpath": _grammar("-e -m -L -P -s -z --relative-to= --relative-base= --no-symlinks"),
    "sha1sum": _DIGEST,
    "sha256sum": _DIGEST,
    "sha512sum": _DIGEST,
    "stat": _grammar("-c= -f -L -t --format= --printf= --dereference --file-system --terse"),
    "tail": _grammar("-c= -n= -q -v -z -NUM --bytes= --lines= --quiet --verbose"),
    "tr": _grammar(
        "-c -C -d -s -t --complement --delete --squeeze-repeats --truncate-set1", operands=2
    ),
    "uname": _grammar("-a -i -m -n -o -p -r -s -v --all --kernel-release", operands=0),
    "uniq": _grammar(
        "-c -d -D -f= -i -s= -u -w= -z --count --repeated --ignore-case --unique "
        "--skip-fields= --skip-chars= --check-chars=",
        operands=1,
    ),
    "wc": _grammar("-c -l -L -m -w --bytes --chars --lines --max-line-length --words"),
}  # fmt: skip
