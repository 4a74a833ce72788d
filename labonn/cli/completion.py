"""labonn completion: a script with which a shell completes labonn's commands, options, procedures, benches and runs.

The script asks this command what fits at every Tab, so it is right for procedures and runs that are made later; what parsers
say is kept in a cache, because making one of a procedure imports numpy.
"""

from __future__ import annotations

import sys

from labonn.cli.stopping import Stopping
from labonn.errors import LabonnError

ASKED = "--words"
INSTALL = """to install it, one of
  labonn completion bash > ~/.local/share/bash-completion/completions/labonn
  labonn completion zsh > ~/.zsh/_labonn      # in a folder of your $fpath
  labonn completion fish > ~/.config/fish/completions/labonn.fish
or for this shell alone: eval "$(labonn completion bash)", or zsh, or
labonn completion fish | source"""


def command(arguments: list[str], stop: Stopping) -> int:
    """Print the script; or answer it, where it asks `--words SHELL -- WORD...`."""
    if arguments[:1] == [ASKED]:
        return _answer(arguments[1], arguments[3:])
    from labonn.cli.completion_scripts import SCRIPTS
    from labonn.cli.parser import Parser

    about = "Print a script that completes labonn's commands, options, procedures, benches, runs and drivers at Tab."
    parser = Parser(prog="labonn completion", description=about, epilog=INSTALL)
    parser.problem = LabonnError
    parser.add_argument("shell", choices=tuple(SCRIPTS), metavar="bash | zsh | fish", help="which shell")
    print(SCRIPTS[parser.parse_args(arguments).shell], end="")
    return 0


def _answer(shell: str, words: list[str]) -> int:
    """What else there is (`none`, `files` or `dirs`), then a line a candidate, with its help behind a tab; bash wants values alone."""
    from labonn.cli.completion_words import fitting

    found = fitting(words or [""], joined=shell == "bash")
    rows = [value if shell == "bash" or not told else f"{value}\t{told}" for value, told in found.values]
    sys.stdout.write("\n".join([found.files, *rows]) + "\n")
    return 0
