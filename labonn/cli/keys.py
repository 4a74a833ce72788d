"""labonn keys: CURVE keys for guardians that other computers can reach."""

from __future__ import annotations

from pathlib import Path

from labonn.cli.output import print_json
from labonn.cli.parser import Parser
from labonn.cli.stopping import Stopping
from labonn.errors import LabonnError

EPILOG = """on the computer of the bench:
  labonn keys new server
  labonn keys allow laptop.key
  labonn serve bench.toml --bind tcp://0.0.0.0:5555 \\
    --keys ~/.config/labonn/keys
on the other, with server.key from there:
  labonn keys new laptop
  labonn run … --bench 'zmq://HOST:5555?server_key=server.key&client_key=KEY'
where KEY is ~/.config/labonn/keys/laptop.key_secret.
Files that end in .key may be shown to anybody; those that end in .key_secret stay where they are."""


def command(arguments: list[str], stop: Stopping) -> int:
    """Make a pair, or allow a client."""
    parser = Parser(prog="labonn keys", description="Keys of guardians (`labonn serve --keys`) and of their clients.", epilog=EPILOG)
    parser.problem = LabonnError
    commands = parser.add_subparsers(dest="action", required=True, metavar="new|allow", parser_class=Parser)
    new = commands.add_parser("new", help="make a pair of keys", description="Make a pair of keys; a guardian's is called `server`.")
    new.add_argument("name", metavar="NAME", help="of the files: NAME.key and NAME.key_secret")
    allow = commands.add_parser("allow", help="let a client in", description="Let the client with this public key use guardians with DIR.")
    allow.add_argument("client", type=Path, metavar="CLIENT.key", help="its public key; guardians read it when they start")
    for one in (new, allow):
        one.problem = LabonnError
        one.add_argument("--dir", type=Path, metavar="DIR", help="folder of the keys (~/.config/labonn/keys)")
        one.add_argument("--json", action="store_true", help="as one JSON object on stdout")
    args = parser.parse_args(arguments)
    from labonn.guardian import keys

    folder = args.dir or keys.default_folder()
    if args.action == "new":
        public, secret = keys.new_key(folder, args.name)
        told = {"public": public, "secret": secret}
    else:
        told = {"allowed": keys.allow(folder, args.client)}
    if args.json:
        print_json(told)
    else:
        print("\n".join(f"{what:<8} {path}" for what, path in told.items()))
    return 0
