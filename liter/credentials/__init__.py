"""Where keys and tokens come from, when they are not simply given."""

from ._refreshing import Fetched as Fetched
from ._refreshing import Refreshing as Refreshing
