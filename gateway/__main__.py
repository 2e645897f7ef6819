"""python -m gateway: the same as pop3-gateway."""

from gateway.cli import main

if __name__ == "__main__":
    main()
