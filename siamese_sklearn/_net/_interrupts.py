"""What stops a training early: Ctrl-C, or a callback that asks for it."""

from __future__ import annotations

import dis

from skorch.callbacks import Callback

__all__ = ["is_request"]

_RAISE = dis.opmap["RAISE_VARARGS"]


def is_request(error: KeyboardInterrupt) -> bool:
    """Whether a callback has raised the error itself, which is how it stops a training.

    skorch knows no other signal. Ctrl-C raises the same exception at any place, also
    within a callback, but not by its ``raise`` statement.

    Parameters
    ----------
    error : KeyboardInterrupt
        As caught, with its traceback.

    Returns
    -------
    bool
    """
    trace = error.__traceback__
    if trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    frame, code = trace.tb_frame, trace.tb_frame.f_code
    owner = frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
    return isinstance(owner, Callback) and code.co_code[trace.tb_lasti] == _RAISE
