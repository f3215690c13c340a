"""A client made of a file: ``liter.toml``."""

from ._create import create_client as create_client
from ._create import create_client_from_json as create_client_from_json
from ._file import find_config as find_config
from ._file import read_config as read_config
