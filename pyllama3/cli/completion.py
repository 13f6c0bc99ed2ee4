"""`pyllama3 completion`: what a shell needs so that Tab completes commands, options, models and files."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from .output import say

VARIABLE = "_PYLLAMA3_COMPLETE"
"""In it a shell asks for completions."""
PROGRAM = "pyllama3"


@click.command("completion", short_help="Let Tab complete in bash, zsh or fish.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, /, shell: str) -> None:
    r"""Print what makes Tab complete commands, options, models and files.

    \b
    bash: echo 'eval "$(pyllama3 completion bash)"' >> ~/.bashrc
    zsh:  echo 'eval "$(pyllama3 completion zsh)"' >> ~/.zshrc
    fish: pyllama3 completion fish > ~/.config/fish/completions/pyllama3.fish
    """
    of_shell = get_completion_class(shell)
    assert of_shell is not None
    say(of_shell(context.find_root().command, {}, PROGRAM, VARIABLE).source())
