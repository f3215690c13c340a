"""The command ``liter``: a demonstration, a chat, and the simulator as a server."""

from ._main import main as main
