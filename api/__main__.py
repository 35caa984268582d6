"""Run the command line: `python -m bedrock_sluice`."""

from bedrock_sluice.cli.app import main

if __name__ == "__main__":
    main()
