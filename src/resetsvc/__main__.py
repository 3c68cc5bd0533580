"""`python -m resetsvc` is the command `resetsvc`."""

from resetsvc.cli import main

if __name__ == "__main__":
    main(prog_name="resetsvc")
